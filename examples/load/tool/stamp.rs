//! What each message carries: who sent it, as which of its messages, and when. A stamp has a fixed
//! width, so that it can be put into a prepared message and found in a frame without parsing JSON.

use super::clock::Micros;

/// What a stamp begins with. Nothing else that is sent has it.
const MARK: &[u8] = b"~load:";
/// Digits of run, sender, sequence and time.
const DIGITS: [usize; 4] = [8, 6, 10, 13];
/// Bytes of a stamp: the mark, and each number with a colon behind it.
pub(crate) const STAMP_BYTES: usize = 6 + 8 + 1 + 6 + 1 + 10 + 1 + 13 + 1;
/// One more than the largest number of a run.
pub(crate) const RUNS: u32 = 100_000_000;

/// What identifies a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Tells this run from others in the same room; below [`RUNS`].
    pub(crate) run: u32,
    /// The client that sent it; below a million.
    pub(crate) sender: u32,
    /// How many messages it had sent before.
    pub(crate) sequence: u32,
    /// When.
    pub(crate) sent_at: Micros,
}

impl Stamp {
    /// Writes the stamp over `place`, which has [`STAMP_BYTES`].
    pub(crate) fn write(&self, place: &mut [u8]) {
        debug_assert_eq!(place.len(), STAMP_BYTES);
        let numbers =
            [u64::from(self.run), u64::from(self.sender), u64::from(self.sequence), self.sent_at];
        let (mark, mut rest) = place.split_at_mut(MARK.len());
        mark.copy_from_slice(MARK);
        for (mut number, digits) in numbers.into_iter().zip(DIGITS) {
            let (field, behind) = rest.split_at_mut(digits + 1);
            field[digits] = b':';
            for digit in field[..digits].iter_mut().rev() {
                *digit = b"0123456789"[(number % 10) as usize];
                number /= 10;
            }
            rest = behind;
        }
    }

    /// The stamp in the first bytes of a message, if there is one.
    pub(crate) fn find(head: &[u8]) -> Option<Self> {
        let mut from = 0;
        loop {
            from += head[from..].iter().position(|byte| *byte == MARK[0])?;
            if head[from..].starts_with(MARK) {
                return Self::parse(&head[from + MARK.len()..]);
            }
            from += 1;
        }
    }

    fn parse(mut text: &[u8]) -> Option<Self> {
        let mut numbers = [0; 4];
        for (number, digits) in numbers.iter_mut().zip(DIGITS) {
            let (field, rest) = text.split_at_checked(digits + 1)?;
            if field[digits] != b':' {
                return None;
            }
            for digit in &field[..digits] {
                let value = digit.wrapping_sub(b'0');
                if value > 9 {
                    return None;
                }
                *number = *number * 10 + u64::from(value);
            }
            text = rest;
        }
        let [run, sender, sequence, sent_at] = numbers;
        Some(Self {
            run: run.try_into().ok()?,
            sender: sender.try_into().ok()?,
            sequence: sequence.try_into().ok()?,
            sent_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp =
        Stamp { run: 99_999_999, sender: 24_999, sequence: u32::MAX, sent_at: 600_000_000 };

    fn written() -> String {
        let mut place = [0; STAMP_BYTES];
        STAMP.write(&mut place);
        String::from_utf8(place.to_vec()).expect("digits")
    }

    #[test]
    fn what_is_written_is_found_anywhere() {
        let stamp = written();
        assert_eq!(stamp, "~load:99999999:024999:4294967295:0000600000000:");
        for before in ["", "{\"type\":\"data\",\"from\":\"~l~\",\"data\":\"", "~", "~load~"] {
            let message = format!("{before}{stamp}xxx");
            assert_eq!(Stamp::find(message.as_bytes()), Some(STAMP), "{message}");
        }
    }

    #[test]
    fn what_is_no_stamp_is_none() {
        let stamp = written();
        let cut = &stamp[..STAMP_BYTES - 1];
        let letter = stamp.replace("24999", "2499x");
        let too_large = stamp.replace("4294967295", "4294967296");
        for text in ["", "~", "~load:", "{\"type\":\"pong\"}", cut, &letter, &too_large] {
            assert_eq!(Stamp::find(text.as_bytes()), None, "{text}");
        }
    }
}
