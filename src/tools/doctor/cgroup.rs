//! Where the memory limit of a control group is, and what it says (cgroups(7); both versions).
//! Pure: text in, text out.

/// Ancestors of a group that are looked at; the limit of each holds for all below it.
const ANCESTORS_MAX: usize = 32;
/// From here on a limit of version 1 means that there is none: it writes the largest number of
/// whole pages.
const NO_LIMIT_BYTES: u64 = 1 << 60;

/// Files that may hold a limit, for a process whose `/proc/self/cgroup` is `groups`.
pub(super) fn limit_files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) =
            (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        if number == "0" && controllers.is_empty() {
            push_files("/sys/fs/cgroup", path, "memory.max", &mut files);
        } else if controllers.split(',').any(|controller| controller == "memory") {
            push_files("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes", &mut files);
        }
    }
    files
}

/// The limit that such a file says, in bytes.
pub(super) fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|bytes| *bytes < NO_LIMIT_BYTES)
}

/// The file called `name` in each group from `path` up to the root. In a container the path may
/// be that of the host; the root, which is the container's own group there, is always among them.
fn push_files(root: &str, path: &str, name: &str, files: &mut Vec<String>) {
    let is_group = |part: &&str| !part.is_empty() && *part != "..";
    let mut parts: Vec<&str> = path.split('/').filter(is_group).take(ANCESTORS_MAX).collect();
    loop {
        let whole: Vec<&str> = [&[root], &parts[..], &[name]].concat();
        files.push(whole.join("/"));
        if parts.pop().is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_all_ancestors_are_looked_for() {
        let v2 = "0::/system.slice/khun.service\n";
        assert_eq!(
            limit_files(v2),
            [
                "/sys/fs/cgroup/system.slice/khun.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max",
                "/sys/fs/cgroup/memory.max",
            ]
        );
        let v1 = "3:cpu,memory:/docker/ab\n2:cpuset:/\n1:name=systemd:/a:b\n0::/\n";
        assert_eq!(
            limit_files(v1),
            [
                "/sys/fs/cgroup/memory/docker/ab/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory.max",
            ]
        );
        assert_eq!(limit_files("0::/../../b"), limit_files("0::/b"));
        assert_eq!(limit_files(&format!("0::{}", "/a".repeat(99))).len(), ANCESTORS_MAX + 1);
        for nothing in ["", "nonsense", "0:cpu", "5:cpu:/a"] {
            assert_eq!(limit_files(nothing), Vec::<String>::new(), "{nothing}");
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
            assert_eq!(limit(text), expected, "{text}");
        }
    }
}
