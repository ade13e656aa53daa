//! What a comparison or a repair leaves out, and says so.
use super::json;
use crate::output;
use crate::text;
use crate::tree::beneath::Root;

/// The lines for a person. The roots of both legs have agreed.
pub fn say(root: &Root, links_out: u64) {
    if root.leaves_lost_found() {
        output::say!("left out  lost+found, 1 directory: the file system's own");
    }
    for m in root.left_mounts() {
        output::say!(
            "left out  {}: another file system, mounted inside one leg",
            text::below(&m)
        );
    }
    if links_out > 0 {
        output::say!(
            "left out  what {} to outside",
            match links_out {
                1 => "1 symlink leads".into(),
                n => format!("{} symlinks lead", text::count(n)),
            }
        );
    }
}

/// The places, with the reason, for a program.
pub fn json(root: &Root) -> Vec<json::LeftOut> {
    let own = root.leaves_lost_found();
    let own = own.then(|| (b"lost+found".to_vec(), "file-system"));
    let mounts = root.left_mounts().into_iter().map(|m| (m, "mount"));
    own.into_iter()
        .chain(mounts)
        .map(|(path, why)| json::LeftOut {
            path: json::At::of(&path),
            why: why.into(),
        })
        .collect()
}
