//! What root must not bring from where it has no power to where it has.
use super::equal::Work;
use crate::pair::legs::OpenLeg;
use crate::tree::object::Meta;
use mirror_core::xattrs::CAPABILITY;
use rustix::fs::{FileType, StatVfsMountFlags};
use std::io;

impl Work<'_> {
    /// Takes out of `s` what root must not bring from a leg where it has no power to one where it has: who
    /// could make it there need not be root. What is said about it; an error if nothing is left.
    pub(super) fn withhold(&self, rel: &[u8], s: &mut Meta) -> io::Result<Option<io::Error>> {
        let device = matches!(s.kind, FileType::BlockDevice | FileType::CharacterDevice);
        let caps = s.xattrs.contains_key(CAPABILITY);
        let set_id = s.is_file() && (s.mode() & 0o6000 != 0 || caps);
        if self.privileged || !(device || set_id) || !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let flag = if device {
            StatVfsMountFlags::NODEV
        } else {
            StatVfsMountFlags::NOSUID
        };
        let counts = |leg: &OpenLeg| -> io::Result<bool> {
            let place = leg.root.parent(rel).or_else(|_| leg.root.parent(b"x"))?.0;
            Ok(!rustix::fs::fstatvfs(&place)?.f_flag.contains(flag))
        };
        if counts(self.source)? || !counts(self.copy)? {
            return Ok(None);
        }
        let (what, option) = if device {
            ("a device node", "nodev")
        } else {
            ("set-id bits or capabilities", "nosuid")
        };
        let why = io::Error::other(format!(
            "{what} not carried: leg {} is mounted {option}, leg {} is not. To carry them: --allow-privileged",
            self.source.letter(),
            self.copy.letter()
        ));
        if device {
            return Err(why);
        }
        s.st.st_mode &= !0o6000;
        s.xattrs.remove(CAPABILITY);
        Ok(Some(why))
    }
}
