//! The manual: mirror(1) and a page per subcommand from the definition of the command line, and two
//! pages written by hand.
use crate::fail::{Context, Fail, Res};
use crate::text;
use clap_mangen::Man;
use std::path::Path;

const BY_HAND: [(&str, &str); 2] = [
    ("man5/mirrortab.5", include_str!("../../man/mirrortab.5")),
    ("man7/mirror.7", include_str!("../../man/mirror.7")),
];

/// Writes everything below `out`.
pub fn run(mut command: clap::Command, out: &Path) -> Res<u8> {
    command.build();
    for dir in ["man1", "man5", "man7"] {
        let d = out.join(dir);
        std::fs::create_dir_all(&d).about(text::path(&d))?;
    }
    let mut pages = 0;
    page(&command, "mirror", out, &mut pages)?;
    for (name, content) in BY_HAND {
        let f = out.join(name);
        std::fs::write(&f, content).about(text::path(&f))?;
        pages += 1;
    }
    crate::say!("{pages} manual pages in {}", text::path(out));
    Ok(0)
}

/// One page, and those of the subcommands below.
fn page(command: &clap::Command, name: &str, out: &Path, pages: &mut u32) -> Res<()> {
    let file = out.join("man1").join(format!("{name}.1"));
    let mut roff = Vec::new();
    Man::new(command.clone())
        .title(name.to_uppercase())
        .manual("Mirror File System")
        .render(&mut roff)
        .map_err(|e| Fail::io(text::path(&file), e))?;
    if name != "mirror" {
        roff.extend_from_slice(
            b".SH \"SEE ALSO\"\n\\fBmirror\\fR(1), \\fBmirrortab\\fR(5), \\fBmirror\\fR(7)\n",
        );
    }
    std::fs::write(&file, roff).about(text::path(&file))?;
    *pages += 1;
    for sub in command.get_subcommands() {
        if !sub.is_hide_set() && sub.get_name() != "help" {
            page(sub, &format!("{name}-{}", sub.get_name()), out, pages)?;
        }
    }
    Ok(())
}
