//! In what the objects at one path of two legs differ.

bitflags::bitflags! {
    /// In what two objects differ. Reports name them in this order, in small letters.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Differs: u16 {
        /// The bytes of a file, at the same size.
        const CONTENT = 1;
        const TYPE = 1 << 1;
        const SIZE = 1 << 2;
        /// The text of a symlink.
        const TARGET = 1 << 3;
        /// The numbers of a device node.
        const DEVICE = 1 << 4;
        const MODE = 1 << 5;
        /// User or group.
        const OWNER = 1 << 6;
        const MTIME = 1 << 7;
        const XATTRS = 1 << 8;
        /// Which names are one object.
        const LINKS = 1 << 9;
        /// chattr's.
        const FLAGS = 1 << 10;

        /// Attributes: what another user, or another file system, may have given.
        const ATTRIBUTES = Self::MODE.bits() | Self::OWNER.bits() | Self::MTIME.bits() | Self::XATTRS.bits();
    }
}

impl Differs {
    /// The words for reports.
    pub fn words(self) -> Vec<String> {
        self.iter_names().map(|(n, _)| n.to_lowercase()).collect()
    }
}

/// What two legs, a source and a copy, have at one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nothing.
    Neither,
    /// The source alone has something.
    OnlySource,
    /// The copy alone has something.
    OnlyCopy,
    /// Both have something.
    Both(Differs),
}

impl Presence {
    /// Nothing is to be made equal.
    pub fn equal(self) -> bool {
        matches!(self, Presence::Neither) || self == Presence::Both(Differs::empty())
    }
    /// Both have something, and it differs in one of these.
    pub fn differs_in(self, what: Differs) -> bool {
        matches!(self, Presence::Both(d) if d.intersects(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_in_their_order() {
        let all = "content type size target device mode owner mtime xattrs links flags";
        assert_eq!(Differs::all().words().join(" "), all);
        assert!(Presence::Neither.equal() && Presence::Both(Differs::empty()).equal());
        assert!(!Presence::OnlySource.equal() && !Presence::Both(Differs::MODE).equal());
        assert!(!Presence::OnlyCopy.differs_in(Differs::all()));
    }
}
