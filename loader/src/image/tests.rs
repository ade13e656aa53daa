//! The preparer against this machine's own libc.
use iced_x86::{Decoder, DecoderOptions, Mnemonic};
use mirror_core::calls::TABLE;
use mirror_core::image::{FNV_START, HEADER_LEN, Header, PAGE, fnv1a};

use super::elf::Libc;
use super::*;

fn data() -> Vec<u8> {
    let libc = default_libcs().into_iter().next().expect("a libc.so.6");
    std::fs::read(libc).expect("readable")
}

fn decode(image: &Image, at: u64) -> iced_x86::Instruction {
    let o = (at - image.header.text_vaddr) as usize;
    Decoder::with_ip(64, &image.text[o..], at, DecoderOptions::NONE).decode()
}

#[test]
fn every_change_is_a_jump_to_a_stub_that_comes_back_behind_the_syscall() {
    let data = data();
    let libc = Libc::parse(&data).unwrap();
    let image = build(&data).unwrap();
    let old = libc.text().unwrap();
    let mut jumps = 0;
    let mut at = 0;
    while at < old.len() {
        if image.text[at] == old[at] {
            at += 1;
            continue;
        }
        let mut from = libc.text_vaddr + at as u64;
        if from == image.header.net[2] {
            at += 8;
            continue;
        }
        let mut jump = decode(&image, from);
        if jump.mnemonic() != Mnemonic::Jmp {
            // the replaced instruction began with the same byte as a jump
            from -= 1;
            jump = decode(&image, from);
        }
        assert_eq!(jump.mnemonic(), Mnemonic::Jmp, "{from:#x}");
        let mut i = decode(&image, jump.near_branch_target());
        assert!(jump.near_branch_target() >= libc.text_end);
        let start = jump.near_branch_target();
        let mut relative = false;
        let end = loop {
            let next = decode(&image, i.next_ip());
            if next.mnemonic() == Mnemonic::Jmp {
                break next;
            }
            if i.is_ip_rel_memory_operand() {
                let site = from + i.ip() - start;
                let o = (site - libc.text_vaddr) as usize;
                let was = Decoder::with_ip(64, &old[o..], site, DecoderOptions::NONE).decode();
                assert_eq!(i.ip_rel_memory_address(), was.ip_rel_memory_address());
                relative = true;
            }
            i = next;
        };
        let moved = (i.ip() - start) as usize;
        let site = (from - libc.text_vaddr) as usize;
        let stub = (start - libc.text_vaddr) as usize;
        assert!(
            relative || image.text[stub..stub + moved] == old[site..site + moved],
            "{from:#x}: moved as it was"
        );
        let resume = i.ip_rel_memory_address();
        let ptr = end.ip_rel_memory_address();
        if ptr == libc.ptr_vaddr {
            assert_eq!(resume, from + moved as u64 + 2);
            assert_eq!(decode(&image, resume - 2).mnemonic(), Mnemonic::Syscall);
        } else {
            assert_eq!((ptr, resume), (libc.ptr_vaddr + 8, from + moved as u64));
        }
        jumps += 1;
        at = site + moved;
    }
    assert_eq!(jumps, image.header.patched);
    assert_eq!(
        image.header.wanted as usize,
        image.patched.len() + image.unpatched.len()
    );
}

#[test]
fn the_places_of_the_net_are_what_they_are_called() {
    let image = build(&data()).unwrap();
    let [leaf, trampoline, gate] = image.header.net;
    assert_eq!(decode(&image, leaf).mnemonic(), Mnemonic::Syscall);
    assert_eq!(decode(&image, leaf + 2).mnemonic(), Mnemonic::Ret);
    let load = decode(&image, trampoline);
    assert_eq!((load.mnemonic(), load.immediate(1)), (Mnemonic::Mov, 15));
    assert_eq!(decode(&image, load.next_ip()).mnemonic(), Mnemonic::Syscall);
    assert_eq!(decode(&image, gate).mnemonic(), Mnemonic::Syscall);
    let jump = decode(&image, gate + 2);
    assert_eq!(
        jump.ip_rel_memory_address(),
        image.header.ptr_vaddr + 16,
        "the third word"
    );
}

#[test]
fn the_header_names_exactly_the_changed_pages() {
    let data = data();
    let libc = Libc::parse(&data).unwrap();
    let image = build(&data).unwrap();
    let mut old = libc.text().unwrap().to_vec();
    old.resize(image.text.len(), 0xcc);
    let changed: Vec<u16> = old
        .chunks(PAGE as usize)
        .zip(image.text.chunks(PAGE as usize))
        .enumerate()
        .filter(|(_, (a, b))| a != b)
        .map(|(n, _)| n as u16)
        .collect();
    assert_eq!(image.header.pages(), changed);
    assert_eq!(image.header.text_sum, fnv1a(FNV_START, &image.text));
}

#[test]
fn what_must_be_seen_is_patched() {
    let image = build(&data()).unwrap();
    for name in [
        "write",
        "openat",
        "close",
        "unlink",
        "rename",
        "mkdir",
        "execve",
        "exit_group",
        "fcntl",
        "clone",
    ] {
        let nr = TABLE.iter().find(|w| w.name() == name).unwrap().x86_64;
        assert!(
            image.patched.iter().any(|s| s.numbers.contains(&nr)),
            "{name}"
        );
    }
    assert!(
        image.patched.iter().any(|s| s.numbers.is_empty()),
        "syscall() itself"
    );
    // and what has a certain other number is left alone: read, futex, getpid
    assert!(
        !image
            .patched
            .iter()
            .any(|s| s.certain && [0, 202, 39].contains(&s.numbers[0]))
    );
}

#[test]
fn no_other_file_is_taken_for_a_libc() {
    assert!(matches!(build(b"GNU C Library"), Err(Error::Unsuitable(_))));
    let exe = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(build(&exe).is_err());
    let data = data();
    for cut in [0, 63, 64, 500, 4096, data.len() / 2] {
        assert!(build(&data[..cut]).is_err());
    }
}

#[test]
fn an_image_is_written_whole_and_checked() {
    let dir = std::env::temp_dir().join(format!("mirror-image-test-{}", std::process::id()));
    let libc = default_libcs().remove(0);
    let p = prepare_into(&libc, &dir).unwrap();
    let bytes = std::fs::read(&p.path).unwrap();
    let header = Header::decode(&bytes).unwrap();
    assert_eq!(bytes.len() as u64, header.text_len + HEADER_LEN as u64);
    assert_eq!(
        std::fs::read_dir(&dir).unwrap().count(),
        1,
        "no temporary file stays"
    );
    std::fs::remove_dir_all(&dir).unwrap();
}
