//! A command in a network namespace whose loopback has `netem`, the kernel's own emulation of a network.
//!
//! This process enters the namespace and then becomes the command, so signals and the exit status are the command's own.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context, Result, anyhow, bail};
use nix::sched::{CloneFlags, unshare};
use rustix::process::{getegid, geteuid};

use super::conditions::Conditions;
use crate::flags::Status;
use record::{Finding, Level};

/// Packets as on Ethernet. Without `gso_max_segs 1` TCP hands the loopback up to 64 KiB at once, whatever the MTU, and netem
/// would lose all of it as one packet.
const LINK: &str = "link set dev lo mtu 1500 gso_max_segs 1 up";
/// Packets that may wait; netem drops what comes on top. Its default, 1,000, is less than one window of many connections,
/// and only `--loss-like-stalls` shall lose packets.
const LIMIT: u32 = 100_000;

const NOT_ALLOWED: &str = "cannot create a network namespace; run it as root, or start the container with --cap-add SYS_ADMIN \
                           --cap-add NET_ADMIN";
const NO_NETEM: &str = "this kernel has no netem queue discipline (module sch_netem): load it (sudo modprobe sch_netem), or use \
                        harness impair without --netem, a proxy in user space";

/// Becomes the command, or only says how.
///
/// # Errors
/// If there can be no such namespace, or the command can't be run.
pub(super) fn run(conditions: &Conditions, command: &[OsString], list: bool) -> Result<Status> {
    let qdisc = qdisc(conditions);
    let (program, arguments) = command.split_first().context("there is no command")?;
    let mut command = Command::new(program);
    command.args(arguments);
    if list {
        say!("in a new network namespace:\n  ip {LINK}\n  tc {qdisc}\n  {command:?}");
        return Ok(Status::Fine);
    }
    enter().context(NOT_ALLOWED)?;
    set_up("ip", LINK)?;
    set_up("tc", &qdisc)?;
    eprintln!("in a new network namespace: tc {qdisc}");
    let error = command.exec();
    Err(anyhow!(error).context(format!("cannot run {}", program.display())))
}

/// What `tc` is told.
fn qdisc(conditions: &Conditions) -> String {
    let us = |time: Duration| time.as_nanos() as f64 / 1e3;
    let mut text = format!("qdisc add dev lo root netem limit {LIMIT}");
    if !conditions.delay.is_zero() {
        text += &format!(" delay {}us", us(conditions.delay));
    }
    if !conditions.jitter.is_zero() {
        text += &format!(" {}us", us(conditions.jitter));
    }
    if conditions.stalls > 0.0 {
        text += &format!(" loss {}%", 100.0 * conditions.stalls);
    }
    if let Some(rate) = conditions.rate {
        text += &format!(" rate {}bit", 8.0 * rate);
    }
    text
}

/// Puts this process into a new network namespace; as root of a user namespace if it has no right to by itself.
fn enter() -> io::Result<()> {
    if unshare(CloneFlags::CLONE_NEWNET).is_ok() {
        return Ok(());
    }
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

/// `ip` or `tc`, which a user's PATH may not have.
fn tool(program: &str, arguments: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut command = Command::new(program);
    command.env("PATH", path).args(arguments.split(' '));
    command
}

fn set_up(program: &str, arguments: &str) -> Result<()> {
    let output = tool(program, arguments).output().with_context(|| {
        format!("cannot run {program}, which sets up the network namespace; install it (apt-get install iproute2)")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // The second is what older kernels say.
    let unknown = [
        "qdisc kind is unknown",
        "RTNETLINK answers: No such file or directory",
    ];
    if unknown.iter().any(|words| said.contains(words)) {
        bail!(NO_NETEM);
    }
    bail!("`{program} {arguments}` failed: {}", said.trim())
}

/// What a record says of a loopback with netem. Nothing if there is none, or no `tc` to ask.
pub(in crate::cmd) fn finding() -> Option<Finding> {
    let output = tool("tc", "qdisc show dev lo").output().ok()?;
    found(&String::from_utf8_lossy(&output.stdout))
}

fn found(qdiscs: &str) -> Option<Finding> {
    let netem = qdiscs.lines().find(|line| line.contains("qdisc netem "))?;
    Some(Finding {
        id: "netem".to_owned(),
        level: Level::Warn,
        found: format!("the loopback has netem: {}", netem.trim()),
        why: "latency and throughput are those of this emulated network".to_owned(),
        fix: Some(
            "run it without `harness impair --netem`, or: sudo tc qdisc del dev lo root".to_owned(),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Profile;
    use super::*;

    #[test]
    fn tc_is_told_the_figures_of_the_profile() {
        for (profile, netem) in [
            (Profile::Lan, "delay 250us 50us rate 1000000000bit"),
            (
                Profile::Wan,
                "delay 20000us 2000us loss 0.01% rate 100000000bit",
            ),
            (
                Profile::Mobile,
                "delay 35000us 20000us loss 0.5% rate 12000000bit",
            ),
        ] {
            let all = format!("qdisc add dev lo root netem limit 100000 {netem}");
            assert_eq!(qdisc(&profile.conditions()), all);
        }
        let none = Conditions {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            stalls: 0.0,
            rate: None,
        };
        assert_eq!(qdisc(&none), "qdisc add dev lo root netem limit 100000");
    }

    #[test]
    fn an_error_names_its_cause_and_what_helps() {
        let missing = set_up("no-such-program", "").unwrap_err().to_string();
        assert!(missing.contains("apt-get install iproute2"), "{missing}");
        let folder = tempfile::tempdir().unwrap();
        let says = |text: &str| {
            let script = folder.path().join("tc");
            fs::write(&script, format!("echo '{text}' >&2; exit 2")).unwrap();
            set_up("sh", script.to_str().unwrap())
                .unwrap_err()
                .to_string()
        };
        let without = says("Error: Specified qdisc kind is unknown.");
        assert!(without.contains("no netem queue discipline"), "{without}");
        let other = says("Error: Exclusivity flag on.");
        assert!(other.ends_with("failed: Error: Exclusivity flag on."));
    }

    #[test]
    fn a_loopback_with_netem_is_a_finding() {
        assert_eq!(found("qdisc noqueue 0: root refcnt 2 \n"), None);
        let text = "qdisc netem 8001: root refcnt 2 limit 100000 delay 20ms  2ms loss 0.01%\n";
        let finding = found(text).unwrap();
        assert!(finding.found.ends_with("delay 20ms  2ms loss 0.01%"));
    }
}
