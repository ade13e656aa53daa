//! Addresses of sockets that are names of files.
use crate::user;
use libc as c;
use mirror_core::path::Path;

/// The path of an AF_UNIX address that names a file.
pub fn socket_path(addr: usize, len: usize, out: &mut Path) -> bool {
    let mut buf = [0u8; 112];
    let Some(address) = buf.get_mut(..len) else {
        return false;
    };
    if !(4..=110).contains(&len) || user::bytes(addr, address).is_err() {
        return false;
    }
    let family = u16::from_le_bytes([buf[0], buf[1]]);
    let name = buf.get(2..len).unwrap_or(&[]);
    let name = name.split(|&b| b == 0).next().unwrap_or(&[]);
    i32::from(family) == c::AF_UNIX && !name.is_empty() && out.set(name).is_ok()
}
