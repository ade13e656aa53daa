//! Flags, project and generation of an object (chattr, lsattr -p), as ioctl(2) and file_setattr(2) say them:
//! what the call has changed on the first leg is changed on the second.
//!
//! Rules: each file system has flags of its own among them; only what differs before and after the
//! first leg's call is carried over. So the intent of the call says what was before.
use crate::ioctls::Marks;
use crate::runtime::Intent;

/// How the call sets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// An ioctl.
    Ioctl(Marks),
    /// file_setattr(2).
    Call,
}

/// An object's flags and the like, in the words of the call that gets and sets them: `int` or
/// `unsigned long`, struct fsxattr, struct file_attr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// The longest of the four structs has 28 bytes.
    pub words: [u64; 4],
}

const LOW: u64 = 0xffff_ffff;

impl By {
    const ALL: [By; 5] = [
        By::Ioctl(Marks::Flags),
        By::Ioctl(Marks::Extended),
        By::Ioctl(Marks::Version),
        By::Ioctl(Marks::Ext4Version),
        By::Call,
    ];
    /// Its number in an intent.
    fn number(self) -> u64 {
        By::ALL.iter().position(|b| *b == self).unwrap_or(0) as u64
    }
    /// The half of the second word that the file system counts and nobody sets.
    fn counted(self) -> u64 {
        match self {
            By::Ioctl(Marks::Extended) => LOW,
            By::Call => !LOW,
            By::Ioctl(_) => 0,
        }
    }
}

impl Value {
    /// Merges what has changed from `before` to `after`. Returns whether that is anything.
    pub fn take_over(&mut self, by: By, before: &Value, after: &Value) -> bool {
        let old = self.words;
        let all = self
            .words
            .iter_mut()
            .zip(before.words.iter().zip(&after.words));
        for (i, (mine, (b, a))) in all.enumerate() {
            // The field of bits comes first; what else there is is 32 bits wide, or one number.
            let bits = i == 0;
            *mine = match by {
                By::Ioctl(Marks::Flags) if bits => merge_bits(*mine, *b, *a),
                By::Call if bits => merge_bits(*mine, *b, *a),
                By::Ioctl(Marks::Extended) if bits => {
                    let low = merge_bits(*mine, *b, *a) & LOW;
                    low | merge_halves(*mine, *b, *a) & !LOW
                }
                By::Ioctl(Marks::Version | Marks::Ext4Version) if a != b => *a,
                By::Ioctl(Marks::Extended) | By::Call => merge_halves(*mine, *b, *a),
                _ => *mine,
            };
        }
        old != self.words
    }

    /// Says in an intent what was before the call: the offset and the old size are the first and the third
    /// word; the length is the number of the call, and of the second word what can be set << 32.
    pub fn announce(&self, by: By, i: &mut Intent) {
        let [one, two, three, _] = self.words;
        let second = match by {
            By::Ioctl(Marks::Extended) => two & !LOW,
            By::Call => two << 32,
            By::Ioctl(_) => 0,
        };
        (i.offset, i.length, i.old_size) = (one, second | by.number(), three);
    }

    /// What an intent says; anybody may have written it.
    pub fn announced(i: &Intent) -> Option<(By, Value)> {
        let by = *By::ALL.get(usize::try_from(i.length & LOW).ok()?)?;
        let two = match by {
            By::Ioctl(Marks::Extended) => i.length & !LOW,
            By::Call => i.length >> 32,
            By::Ioctl(_) => 0,
        };
        let words = [i.offset, two, i.old_size, 0];
        Some((by, Value { words }))
    }

    /// Without what nobody sets, to be compared with what an intent says.
    #[must_use]
    pub fn settable(mut self, by: By) -> Value {
        let [_, two, _, four] = &mut self.words;
        *two &= !by.counted();
        *four = 0;
        self
    }
}

fn merge_bits(mine: u64, before: u64, after: u64) -> u64 {
    let changed = before ^ after;
    mine & !changed | after & changed
}

fn merge_halves(mine: u64, before: u64, after: u64) -> u64 {
    let half = |mask: u64| {
        if (before ^ after) & mask != 0 {
            after & mask
        } else {
            mine & mask
        }
    };
    half(LOW) | half(!LOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::IntentKind;

    #[test]
    fn an_intent_says_what_was_before() {
        let words = [
            0x8000_0040_0000_0011,
            0x1234_5678_9abc_def0,
            0xffff_ffff_0000_0007,
            0,
        ];
        for by in By::ALL {
            let mut before = Value { words };
            if let By::Ioctl(Marks::Flags | Marks::Version | Marks::Ext4Version) = by {
                before.words = [words[0], 0, 0, 0];
            }
            let mut i = Intent::of(IntentKind::Marks, crate::Leg::A);
            before.announce(by, &mut i);
            assert_eq!(Value::announced(&i), Some((by, before.settable(by))));
        }
        let mut i = Intent::of(IntentKind::Marks, crate::Leg::A);
        i.length = 5;
        assert_eq!(Value::announced(&i), None);
    }

    #[test]
    fn only_what_has_changed_is_taken_over() {
        let v = |a, b, c| Value {
            words: [a, b, c, 0],
        };
        let by = By::Ioctl(Marks::Flags);
        let mut mine = v(0x8_0000, 0, 0);
        assert!(mine.take_over(by, &v(0x10, 0, 0), &v(0x40, 0, 0)));
        assert_eq!(mine, v(0x8_0040, 0, 0));
        assert!(!mine.take_over(by, &v(0x10, 0, 0), &v(0x40, 0, 0)));
        // Project 7 in place of 5; the number of extents is each file system's own.
        let by = By::Ioctl(Marks::Extended);
        let mut mine = v(2, 5 << 32 | 3, 0);
        let (before, after) = (v(2, 5 << 32 | 1, 0), v(2, 7 << 32 | 9, 0));
        assert!(mine.take_over(by, &before.settable(by), &after.settable(by)));
        assert_eq!(mine, v(2, 7 << 32 | 3, 0));
    }
}
