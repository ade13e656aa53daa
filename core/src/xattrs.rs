//! Which extended attributes are part of the copy.

/// Rights that a file gives to who executes it.
pub const CAPABILITY: &[u8] = b"security.capability";

/// Whether an attribute is compared and repaired. Labels of one machine's security module, `trusted.*`
/// (overlayfs, glusterfs) and what one file system says of itself (`btrfs.*`, `system.nfs4_acl`) belong to a
/// leg, not to the copy.
pub fn is_copied(name: &[u8]) -> bool {
    name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_") || name == CAPABILITY
}

#[cfg(test)]
mod tests {
    use super::is_copied;

    #[test]
    fn what_is_one_legs_own_is_not_copied() {
        for name in [
            &b"user.x"[..],
            b"system.posix_acl_access",
            b"security.capability",
        ] {
            assert!(is_copied(name));
        }
        for name in [
            &b""[..],
            b"security.selinux",
            b"trusted.overlay.opaque",
            b"btrfs.compression",
            b"system.nfs4_acl",
        ] {
            assert!(!is_copied(name), "{name:?}");
        }
    }
}
