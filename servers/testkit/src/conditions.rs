//! What must be the same for every server, or a comparison isn't fair.

use std::thread;
use std::time::{Duration, Instant};

use machine::probe::{allocator, busy_threads, thread_times};
use referee::raw;

use crate::Server;

/// The allocator of all packages of the workspace.
const ALLOCATOR: &str = "mimalloc";
/// The load that shows which threads work.
const CLIENTS: usize = 16;
const LOAD: Duration = Duration::from_millis(500);

/// As many threads work as `--workers` says, and they allocate with the workspace's allocator.
///
/// # Panics
/// Where it is not so.
pub fn serves_under_the_same_conditions(program: &str) {
    for workers in [1, 2] {
        let server = Server::boot_with(program, workers);
        let process = [server.pid()];
        assert_eq!(allocator(&process).as_deref(), Ok(ALLOCATOR));
        let before = thread_times(&process);
        let end = Instant::now() + LOAD;
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let mut connection = server.connect();
                    while Instant::now() < end {
                        let answer = connection.exchange(&raw::get("/api/v1/users"));
                        assert_eq!(answer.expect("a response").status, 200);
                    }
                });
            }
        });
        let busy = busy_threads(&before, &thread_times(&process));
        assert_eq!(busy, workers, "threads that work with --workers {workers}");
    }
}
