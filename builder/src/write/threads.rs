//! How many threads compress, when nobody said.

use super::Packing;
use std::num::NonZeroUsize;

/// One more would gain little: a package of 200 MB has eight blocks.
const MOST: usize = 8;

/// As asked; else one for each core, as far as half of the memory suffices.
pub(super) fn choose(packing: Packing, size: u64) -> NonZeroUsize {
    packing.threads.unwrap_or_else(|| {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        within(cores, memory(), |threads| packing.compression.memory(size, threads))
    })
}

fn within(cores: usize, memory: u64, needed: impl Fn(NonZeroUsize) -> u64) -> NonZeroUsize {
    let fits = |threads: &NonZeroUsize| needed(*threads) <= memory / 2;
    let counts = (1..=cores.min(MOST)).rev().filter_map(NonZeroUsize::new);
    counts.into_iter().find(fits).unwrap_or(NonZeroUsize::MIN)
}

/// Bytes that the machine has, or its container may use; unbounded if neither can be found out.
fn memory() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    machine.unwrap_or(u64::MAX).min(container.unwrap_or(u64::MAX))
}

/// proc(5): `MemTotal` in kibibytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_bounded_by_cores_memory_and_use() {
        let each = |threads: NonZeroUsize| 140 * threads.get() as u64;
        for (cores, memory, threads) in [(1, 100_000, 1), (4, 100_000, 4), (64, 100_000, 8), (8, 1000, 3), (8, 10, 1)] {
            assert_eq!(within(cores, memory, each).get(), threads, "{cores} cores, {memory}");
        }
    }

    #[test]
    fn the_machines_memory_is_read() {
        assert_eq!(total("MemTotal:       24683520 kB\nMemFree: 1 kB\n"), Some(24_683_520 * 1024));
        assert_eq!(total("nothing"), None);
        assert!(memory() > 1 << 20);
    }
}
