// SPDX-License-Identifier: GPL-2.0

//! What memory is filled with that nobody is to write to.

/// The word at `address`, which is a multiple of 8: no two addresses have the same one, and none has
/// zero, all ones or a small number, which kernels write.
pub const fn pattern(address: u64) -> u64 {
    // Both steps can be undone, so that no two addresses come out alike.
    (address ^ 0xa5a5_5a5a_c3c3_3c3c).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Fills memory that starts at the physical address `start`, a multiple of 8.
pub fn fill(memory: &mut [u64], start: u64) {
    let mut address = start;
    for word in memory {
        *word = pattern(address);
        address += 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_a_word_of_its_own() {
        let mut words = [0; 4096];
        fill(&mut words, 0x4000_0000);
        assert_eq!(words[1], pattern(0x4000_0008));
        words.sort();
        assert!(words.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(words.iter().all(|word| *word > u64::from(u32::MAX) && *word != u64::MAX));
    }
}
