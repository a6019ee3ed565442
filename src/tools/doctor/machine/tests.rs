//! Facts in, findings out.

use super::*;
use crate::tools::doctor::finding::Severity::{self, Ok, Problem, Warning};

#[track_caller]
fn check(finding: &Finding, severity: Severity, part: &str) {
    assert_eq!(finding.severity, severity, "{finding}");
    assert!(finding.text.contains(part), "{part:?} is not in {finding}");
    let is_advised = severity == Ok || finding.text.contains(": ") || finding.text.contains(';');
    assert!(is_advised, "what is to be changed? {finding}");
}

#[test]
fn settings_have_their_warnings() {
    assert_eq!(judge_settings(&Config::default()), [SETTINGS.ok("valid")]);
    let mut config = Config::default();
    config.limits.message_rate_max = 0;
    config.limits.room_code_length = 4;
    let findings = judge_settings(&config);
    assert_eq!(findings.len(), 2);
    assert!(findings.iter().all(|finding| finding.severity == Warning), "{findings:?}");
}

#[test]
fn files_are_counted_against_connections() {
    let check_limit = |hard, connections_max, severity, part| {
        let limits = Limits { connections_max, ..Limits::default() };
        check(&judge_open_files(FileLimit { soft: 1, hard }, &limits), severity, part);
    };
    check_limit(u64::MAX, 1_000_000, Ok, "any number");
    check_limit(10_128, 10_000, Ok, "at most 10128, enough");
    check_limit(10_127, 10_000, Warning, "only 9999 connections fit");
    check_limit(1024, 10_000, Warning, "raise the limit to 10128 (LimitNOFILE=");
    check_limit(192, 10_000, Warning, "only 64 connections");
    check_limit(191, 10_000, Problem, "only 63 connections");
    check_limit(64, 10_000, Problem, "only 1 connections");
    check_limit(138, 10, Ok, "enough for MAX_CONNECTIONS=10");
    check_limit(137, 10, Problem, "only 9 connections");
}

#[test]
fn memory_must_hold_the_budget_and_the_program() {
    const MIB: u64 = 1 << 20;
    let limits = Limits::default();
    let check_memory = |group: Option<u64>, machine: Option<u64>, severity, part| {
        let memory = MachineMemory {
            group_limit: group.map(|mebibytes| mebibytes * MIB),
            machine: machine.map(|mebibytes| mebibytes * MIB),
        };
        check(&judge_memory(memory, &limits), severity, part);
    };
    check_memory(None, None, Ok, "no limit is known");
    check_memory(None, Some(512), Ok, "this machine has 512 MiB");
    check_memory(Some(100), Some(4096), Ok, "the limit here (of the cgroup) is 100 MiB");
    check_memory(Some(96), None, Ok, "MEMORY_BUDGET_BYTES is 64 MiB");
    check_memory(Some(95), None, Warning, "set MEMORY_BUDGET_BYTES=63MiB, or raise it to 96 MiB");
    check_memory(Some(64), None, Warning, "set MEMORY_BUDGET_BYTES=32MiB");
    check_memory(Some(63), None, Problem, "set MEMORY_BUDGET_BYTES=31MiB");
    check_memory(Some(40), None, Problem, "set MEMORY_BUDGET_BYTES=8MiB");
    check_memory(Some(39), None, Problem, "raise it to 40 MiB at least");
    check_memory(Some(0), Some(512), Problem, "raise it to 40 MiB at least");
    // What is advised is allowed.
    let large = Limits { send_queue_bytes_max: 48 << 20, ..Limits::default() };
    let memory = MachineMemory { group_limit: Some(79 * MIB), machine: None };
    check(&judge_memory(memory, &large), Warning, "raise it to 80 MiB at least");
}

#[test]
fn a_data_directory_is_there_or_can_be_made() {
    let check_place = |user, state, expected: &[(Severity, &str)]| {
        let directory = DataDirectory { path: "/data".into(), user, state };
        let findings = judge_data_directory(&directory);
        assert_eq!(findings.len(), expected.len(), "{findings:?}");
        for (finding, (severity, part)) in findings.iter().zip(expected) {
            check(finding, *severity, part);
        }
    };
    let state = |is_writable, free_mebibytes: u64, has_free_files| {
        let free_bytes = free_mebibytes << 20;
        DirectoryState::Directory { owner: 7, is_writable, free_bytes, has_free_files }
    };
    let missing =
        |is_parent_writable| DirectoryState::Missing { parent: "/".into(), is_parent_writable };
    check_place(7, state(true, 256, true), &[(Ok, "/data is writable, 256 MiB are free")]);
    check_place(7, state(true, 255, true), &[(Warning, "make room")]);
    check_place(7, state(true, 32, true), &[(Warning, "make room")]);
    check_place(7, state(true, 31, true), &[(Problem, "make room")]);
    check_place(7, state(true, 999, false), &[(Problem, "takes no further file")]);
    let foreign = "/data belongs to user 7, and this is user 0";
    check_place(0, state(true, 999, true), &[(Ok, "writable"), (Warning, foreign)]);
    let denied = "belongs to user 7 and cannot be written to by user 8";
    check_place(8, state(false, 999, true), &[(Problem, denied)]);
    check_place(7, missing(true), &[(Ok, "the first start makes it in /")]);
    check_place(7, missing(false), &[(Problem, "user 7 may not make it in /")]);
    let blocked = DirectoryState::Blocked("it is no directory".to_owned());
    check_place(7, blocked, &[(Problem, "/data: it is no directory; DATA_DIR must")]);
}

#[test]
fn a_port_is_ours_or_free() {
    let health = |version: &str| -> Health {
        let text = format!(
            r#"{{"status":"healthy","version":"{version}","store":"ok","rooms":0,
                "connections":1,"uptime_seconds":1}}"#
        );
        serde_json::from_str(&text).expect("as the server writes it")
    };
    let at = || "127.0.0.1:3001".to_owned();
    let ours = env!("CARGO_PKG_VERSION");
    check(&judge_port(&Port::Running(health(ours), at())), Ok, "a server is running on 127.0.0.1");
    let other = Port::Running(health("0.0.1"), at());
    check(&judge_port(&other), Warning, "version 0.0.1 and this program is");
    check(&judge_port(&Port::Free(at())), Ok, "127.0.0.1:3001 is free");
    check(&judge_port(&Port::Any), Warning, "set PORT");
    let taken = Port::Unusable("127.0.0.1:3001 is another program".to_owned());
    check(&judge_port(&taken), Problem, "is another program: stop what is there");
}

#[test]
fn a_clock_is_of_this_age_and_agrees_with_others() {
    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    let other =
        |name, ahead| OtherClock { name, seconds: NOW.seconds() - ahead, ours: NOW.seconds() };
    let check_skew = |ahead, severity, part| {
        check(&judge_clock(NOW, &[other("a", 1), other("b", ahead)]), severity, part);
    };
    check(&judge_clock(UnixMillis(0), &[]), Problem, "1970-01-01T00:00:00.000Z, which cannot be");
    check(&judge_clock(UnixMillis(i64::MAX), &[]), Problem, "which cannot be");
    check(&judge_clock(NOW, &[]), Ok, "2027-01-15T08:00:00.000Z");
    check_skew(10, Ok, "in step with a and b");
    check_skew(-10, Ok, "in step with a and b");
    check_skew(11, Warning, "11 s ahead of that of b: set it");
    check_skew(-300, Warning, "300 s behind that of b: set it");
    check_skew(301, Problem, "301 s ahead of that of b: set it");
}

#[test]
fn the_limits_of_all_ancestors_are_looked_for() {
    let v2 = "0::/system.slice/khun.service\n";
    assert_eq!(
        group_limit_files(v2),
        [
            "/sys/fs/cgroup/system.slice/khun.service/memory.max",
            "/sys/fs/cgroup/system.slice/memory.max",
            "/sys/fs/cgroup/memory.max",
        ]
    );
    let v1 = "3:cpu,memory:/docker/ab\n2:cpuset:/\n1:name=systemd:/a:b\n0::/\n";
    assert_eq!(
        group_limit_files(v1),
        [
            "/sys/fs/cgroup/memory/docker/ab/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory.max",
        ]
    );
    assert_eq!(group_limit_files("0::/../../b"), group_limit_files("0::/b"));
    assert_eq!(group_limit_files(&format!("0::{}", "/a".repeat(99))).len(), ANCESTORS_MAX + 1);
    for nothing in ["", "nonsense", "0:cpu", "5:cpu:/a"] {
        assert_eq!(group_limit_files(nothing), Vec::<String>::new(), "{nothing}");
    }
}

#[test]
fn a_limit_is_a_number_that_can_be_meant() {
    for (text, expected) in [
        ("104857600\n", Some(104_857_600)),
        ("max\n", None),
        ("9223372036854771712\n", None),
        ("", None),
    ] {
        assert_eq!(group_limit(text), expected, "{text}");
    }
}
