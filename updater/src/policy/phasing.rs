//! Phased updates, by apt's algorithm: of the devices that could take an update, a share does, and each device knows by
//! itself whether it belongs to it. An apt on the same device decides the same.
//!
//! apt seeds C++'s `std::minstd_rand` through `std::seed_seq` with the characters of `<source>-<version>-<machine id>`,
//! draws once uniformly from 0 to 100, and holds the update back where the draw is above the percentage. The generators
//! are as the C++ standard defines them ([rand.util.seedseq], [rand.eng.lcong]); the distribution is the one of libstdc++.

use debian_formats::control::Control;

/// The field of an index that says how many devices in a hundred may take a version.
const FIELD: &str = "Phased-Update-Percentage";

/// What tells a device from all others (machine-id(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MachineId(String);

impl MachineId {
    /// From the content of `/etc/machine-id`; none before a first boot has made one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let id = text.trim();
        (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| Self(id.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether this device belongs to those that may take the version. One without an id takes everything, as apt does.
pub(crate) fn is_phased_in(control: &Control, machine: Option<&MachineId>) -> bool {
    let percentage = control.stanza().get(FIELD).and_then(|text| text.trim().parse::<u32>().ok());
    let (Some(percentage @ 0..100), Some(machine)) = (percentage, machine) else { return true };
    let (source, version) = source_of(control);
    draw(&format!("{source}-{version}-{}", machine.as_str())) <= percentage
}

/// `Source` may name a version of its own, in parentheses (Policy 5.6.1); without the field the package is its source.
fn source_of(control: &Control) -> (&str, &str) {
    let version = control.version().as_str();
    let Some(field) = control.stanza().get("Source") else { return (control.package().as_str(), version) };
    match field.split_once('(') {
        Some((source, own)) => (source.trim(), own.trim_end().trim_end_matches(')').trim()),
        None => (field.trim(), version),
    }
}

/// A number from 0 to 100 that follows from the seed.
fn draw(seed: &str) -> u32 {
    const MODULUS: u64 = 2_147_483_647;
    const MULTIPLIER: u64 = 48_271;
    const CHOICES: u64 = 101;
    // The engine asks for four words and takes the last.
    let state = u64::from(seed_words(seed.as_bytes())[3]) % MODULUS;
    let mut state = if state == 0 { 1 } else { state };
    // The engine gives 1 to MODULUS - 1. What is left over above a multiple of the choices is drawn again.
    let scale = (MODULUS - 2) / CHOICES;
    loop {
        state = state * MULTIPLIER % MODULUS;
        let drawn = (state - 1) / scale;
        if drawn < CHOICES {
            return drawn as u32;
        }
    }
}

/// `std::seed_seq::generate` for four words.
fn seed_words(seed: &[u8]) -> [u32; 4] {
    const WORDS: usize = 4;
    // The standard's p and q, for so few words.
    const P: usize = 1;
    const Q: usize = 2;
    let mix = |value: u32| value ^ (value >> 27);
    let mut words = [0x8b8b_8b8b_u32; WORDS];
    let rounds = WORDS.max(seed.len() + 1);
    for k in 0..rounds {
        let (a, b, c) = (k % WORDS, (k + P) % WORDS, (k + WORDS - 1) % WORDS);
        let first = mix(words[a] ^ words[b] ^ words[c]).wrapping_mul(1_664_525);
        let place = a as u32;
        let second = first.wrapping_add(match k {
            0 => seed.len() as u32,
            // A `char` is signed on some machines and not on others; an id, a name and a version are ASCII.
            k if k <= seed.len() => place.wrapping_add(u32::from(seed[k - 1])),
            _ => place,
        });
        words[b] = words[b].wrapping_add(first);
        words[(k + Q) % WORDS] = words[(k + Q) % WORDS].wrapping_add(second);
        words[a] = second;
    }
    for k in rounds..rounds + WORDS {
        let (a, b, c) = (k % WORDS, (k + P) % WORDS, (k + WORDS - 1) % WORDS);
        let third = mix(words[a].wrapping_add(words[b]).wrapping_add(words[c])).wrapping_mul(1_566_083_941);
        let fourth = third.wrapping_sub(a as u32);
        words[b] ^= third;
        words[(k + Q) % WORDS] ^= fourth;
        words[a] = fourth;
    }
    words
}
