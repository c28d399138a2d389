//! The `harness` command.

fn main() -> std::process::ExitCode {
    harness::main()
}
