//! The mirrortab's lines.
use super::*;

type Parsed = (Vec<u8>, Vec<u8>, Vec<u8>, Options);

fn parse(l: &[u8]) -> Result<Option<Parsed>, Fault> {
    let mut room = [0; ROOM];
    let mut e = Entry::over(&mut room);
    Ok(parse_line(l, 1, &mut e)?.then(|| {
        let [v, a, b] = e.paths().map(<[u8]>::to_vec);
        (v, a, b, e.options)
    }))
}
extern crate std;
use std::vec::Vec;

#[test]
fn lines_parse() {
    assert_eq!(parse(b"").unwrap(), None);
    assert_eq!(parse(b"  # x y z").unwrap(), None);
    let (v, a, b, o) = parse(b"/v\t/a\\040b /c on-failure=fail,on-full=degrade # note")
        .unwrap()
        .unwrap();
    assert_eq!(
        (v.as_slice(), a.as_slice(), b.as_slice()),
        (&b"/v"[..], &b"/a b"[..], &b"/c"[..])
    );
    assert_eq!(
        o,
        Options {
            on_failure: OnFailure::Fail,
            on_full: OnFull::Degrade,
            ..Options::DEFAULT
        }
    );
    let pinned = b"/v /v /c id=000102030405060708090a0b0c0d0e0f,uid=4294967295,root-wait=0";
    let (.., o) = parse(pinned).unwrap().unwrap();
    assert_eq!((o.uid, o.root_wait), (Some(u32::MAX), 0));
    assert_eq!(o.id.map(|i| (i.0[1], i.0[15])), Some((1, 15)));
    for (text, wanted) in [
        (&b"warn"[..], Unmirrorable::Warn),
        (b"refuse", Unmirrorable::Refuse),
        (b"quiet", Unmirrorable::Quiet),
    ] {
        let line = [b"/v /v /c unmirrorable=", text].concat();
        assert_eq!(parse(&line).unwrap().unwrap().3.unmirrorable, wanted);
    }
    assert!(parse(b"/a /a /b").unwrap().is_some());
}

#[test]
fn faults_are_named() {
    for (l, f) in [
        (&b"/v /a"[..], Fault::MissingField),
        (b"/v /a /b defaults x", Fault::ExtraField),
        (b"v /a /b", Fault::NotAbsolute),
        (b"/v/ /a /b", Fault::NotNormal),
        (b"/v /a/../x /b", Fault::NotNormal),
        (b"/v /a /b on-fail=x", Fault::UnknownOption),
        (b"/v /a /b on-full=x", Fault::BadValue),
        (b"/v /a /b unmirrorable=no", Fault::BadValue),
        (b"/v /a /b id=12", Fault::BadValue),
        (b"/v /a /b uid=", Fault::BadValue),
        (b"/v /a /b uid=-1", Fault::BadValue),
        (b"/v /a /b uid=4294967296", Fault::BadValue),
        (b"/v /a /a/b", Fault::LegsOverlap),
        (b"/v /v/a /b", Fault::VirtualOverlap),
        (b"/v /a\\041 /b", Fault::BadEscape),
        (b"/ / /b", Fault::NotNormal),
    ] {
        assert_eq!(
            parse(l).map(|_| ()),
            Err(f),
            "{:?}",
            core::str::from_utf8(l)
        );
    }
}

#[test]
fn room_is_bounded() {
    let path = |n: usize| [&b"/"[..], &[b'x'].repeat(n - 1)].concat();
    let line = |n: usize| [&b"/v "[..], &path(n), b" /b"].concat();
    assert!(parse(&line(PATH_MAX - 1)).unwrap().is_some());
    assert_eq!(parse(&line(PATH_MAX)), Err(Fault::TooLong));
    let mut room = [1; 9];
    let mut e = Entry::over(&mut room);
    assert_eq!(parse_line(b"/v /a /b # 9 bytes", 1, &mut e), Ok(true));
    assert_eq!((e.used(), e.paths()), (9, [&b"/v"[..], b"/a", b"/b"]));
    assert_eq!(parse_line(b"/v /a /bc", 1, &mut e), Err(Fault::NoRoom));
    assert_eq!(parse_mirror(b"/ab:/c", &mut e), Err(Fault::NoRoom));
}

#[test]
fn mirror_value() {
    let mut room = [0; ROOM];
    let mut e = Entry::over(&mut room);
    assert_eq!(parse_mirror(b"/v=/a:/b", &mut e), Ok(()));
    assert!(!e.in_place());
    assert_eq!(parse_mirror(b"/a:/b", &mut e), Ok(()));
    assert!(e.in_place());
    for bad in [
        &b"/a"[..],
        b"/a:/b:/c",
        b"=/a:/b",
        b"/v=:/b",
        b"/v=/a=/x:/b",
    ] {
        assert_eq!(parse_mirror(bad, &mut e), Err(Fault::BadMirrorValue));
    }
    assert_eq!(parse_mirror(b"a:/b", &mut e), Err(Fault::NotAbsolute));
}
