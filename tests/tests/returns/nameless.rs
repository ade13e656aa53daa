//! Files without a name that stay open across the return of leg b: of O_TMPFILE, and removed while they were open; made
//! before leg b was left, while it was away, and while it was on its way back. What is done by them afterwards is
//! answered as in a plain directory, and whoever gets a name has it on both legs with all that was stored.
use super::unnoticed::on_its_way;
use super::*;

const NAMELESS: &str = r"
import ctypes,errno,itertools
libc=ctypes.CDLL(None,use_errno=True)
def by_proc(fd,to): os.link(f'/proc/self/fd/{fd}',to,src_dir_fd=fd,follow_symlinks=True)
def by_number(fd,to):
  if libc.linkat(fd,b'',-100,to.encode(),0x1000): e=ctypes.get_errno(); raise OSError(e,os.strerror(e))
def tmp(path): return os.open(os.path.dirname(path),os.O_TMPFILE|os.O_RDWR,0o640)
def gone(path):
  fd=os.open(path,os.O_RDWR|os.O_CREAT|os.O_EXCL,0o640); os.unlink(path); return fd
maps={}
def map(fd): maps[fd]=mmap.mmap(fd,8192)
def store(fd): maps[fd][5000:5003]=b'abc'
def msync(fd): maps[fd].flush()
def unmap(fd): maps.pop(fd).close()
def mapped_by_child(fd):
  pid=os.fork()
  if pid==0:
    try: m=mmap.mmap(fd,8192); m[1:4]=b'kid'; m.flush(); os._exit(0)
    except OSError as e: os._exit(e.errno)
  e=os.waitstatus_to_exitcode(os.waitpid(pid,0)[1])
  if e: raise OSError(e,os.strerror(e))
ACTS={
 'write': lambda fd: os.pwrite(fd,b'more',9000),
 'cut': lambda fd: os.ftruncate(fd,6000),
 'mode': lambda fd: os.fchmod(fd,0o604),
 'attribute': lambda fd: os.setxattr(fd,'user.of',b'mine'),
 'time': lambda fd: os.utime(fd,ns=(1500000000*10**9,1500000001*10**9)),
 'sync': os.fsync,
 'map': map, 'store': store, 'msync': msync, 'unmap': unmap, 'child': mapped_by_child,
 'proc': None, 'number': None, 'close': os.close,
}
# What is done with a file, one after the other.
LIVES=['close','proc close','number close','write sync proc write sync close','cut mode attribute proc cut mode attribute close',
 'time number time close','map store msync close','map store msync unmap proc write close','map store proc store msync close',
 'map store msync proc store close','map store close','proc map store msync unmap close','number map store close','child proc close',
 'child number child write close','map store cut proc close','map unmap proc close','map proc unmap close','map store proc mode attribute write store msync unmap close',
 'number proc close']
WHEN=['before','away','joining']
open_={}
def make(when,early=False):
  os.makedirs(f'{V}/d',exist_ok=True)
  for kind,(n,life) in itertools.product((tmp,gone),enumerate(LIVES)):
    name=f'{V}/d/{kind.__name__}-{when}-{n}'
    fd=kind(name); os.write(fd,b'0123456789'*900); open_[name]=(fd,life)
def live():
  said=[]
  for name,(fd,life) in sorted(open_.items()):
    for nth,what in enumerate(life.split()):
      try:
        if what in ('proc','number'): (by_proc if what=='proc' else by_number)(fd,name if nth<9 and not os.path.lexists(name) else name+'-2'); r='ok'
        else: ACTS[what](fd); r='ok'
      except KeyError: r='none'
      except OSError as e: r=errno.errorcode[e.errno]
      said.append(f'{os.path.basename(name)} {life}: {what} {r}')
  return '|'.join(said)
";

fn told(p: &Pair, native: bool) -> Told {
    let rest = "\nfor line in sys.stdin:\n  try:\n    r=eval(line)\n    print('yes' if r is None else r,flush=True)\n  except BaseException as e:\n    print('no',repr(e),flush=True)";
    let code = format!("import os,sys,threading,mmap\nV=os.environ['V']\n{NAMELESS}{rest}");
    let mut c = match native {
        true => p.native_command("python3"),
        false => p.preloaded("python3"),
    };
    c.args(["-c", &code]);
    Told::start(c)
}

/// Leg b was never away.
#[test]
fn in_a_whole_pair() {
    need!("python3");
    let p = pair(Kind::InPlace);
    let [mut native, mut w] = [true, false].map(|native| told(&p, native));
    let [native_said, said] = [&mut native, &mut w].map(|w| {
        w.does("make('before')");
        w.tell("live()");
        w.line()
    });
    assert_eq!(native_said, said);
    native.end();
    w.end();
    in_sync(&p);
    p.assert_equal();
    p.assert_like_native();
}

#[test]
fn whatever_is_done_with_them() {
    need!("python3", "strace");
    let p = pair(Kind::InPlace);
    p.run("mkdir $V/many; for i in $(seq 200); do echo $i > $V/many/$i; done")
        .ok();
    p.plain("mkdir $V/many; for i in $(seq 200); do echo $i > $V/many/$i; done")
        .ok();
    let [mut native, mut w] = [true, false].map(|native| told(&p, native));
    for when in ["before", "away", "joining"] {
        match when {
            "away" => offline(&p),
            "joining" => on_its_way(&p),
            _ => {}
        }
        for w in [&mut native, &mut w] {
            w.does(&format!("make('{when}')"));
        }
    }
    comes_back(&p);
    let [native_said, said] = [&mut native, &mut w].map(|w| {
        w.tell("live()");
        w.line()
    });
    native.end();
    w.end();
    let both = native_said.split('|').zip(said.split('|'));
    let differ: Vec<_> = both.filter(|(n, m)| n != m).collect();
    for (n, m) in &differ {
        println!("natively {n}\n         {m}");
    }
    assert!(differ.is_empty(), "{} differ", differ.len());
    in_sync(&p);
    p.assert_equal();
    p.assert_like_native();
    p.verify().ok();
}

/// Another process has made it after the return, with a part on leg b: who has not seen leg b come back maps no part
/// of it on leg a alone.
fn received(size: usize, stays: bool) {
    need!("python3");
    let p = pair(Kind::InPlace);
    let unmaps = if stays { "None" } else { "m.close()" };
    let code = format!(
        "import errno,socket
S='{}/talk'
def waits():
  global s
  open(V+'/first','w').close(); s=socket.socket(socket.AF_UNIX); s.bind(S); s.listen(1)
def takes():
  global m
  n=socket.recv_fds(s.accept()[0],1,1)[1][0]
  try: m=mmap.mmap(n,4096); m[0:5]=b'STORE'; {unmaps}; return 'ok'
  except OSError as e: return errno.errorcode[e.errno]
def makes():
  global f
  f=os.open(V,os.O_TMPFILE|os.O_RDWR); os.write(f,b'.'*{size})
  c=socket.socket(socket.AF_UNIX); c.connect(S); socket.send_fds(c,[b'a'],[f])
def name(): os.link(f'/proc/self/fd/{{f}}',V+'/named',src_dir_fd=f,follow_symlinks=True)",
        p.scratch().display()
    );
    let mut receiver = python(&p, &code);
    receiver.does("waits()");
    offline(&p);
    comes_back(&p);
    let mut maker = python(&p, &code);
    maker.does("makes()");
    receiver.tell("takes()");
    let answer = receiver.line();
    maker.tell("name()");
    let named = maker.line();
    receiver.end();
    maker.end();
    p.assert_equal();
    in_sync(&p);
    assert_eq!([answer, named], ["ENODEV", "yes"]);
}

#[test]
fn another_process_has_made_it_since() {
    received(4096, false);
}

/// And it gets its name, however long it is.
#[test]
fn another_process_has_made_a_long_one_since() {
    received(20_000_000, false);
}

#[test]
fn another_process_has_made_a_long_one_that_stays_mapped() {
    received(20_000_000, true);
}

/// What is too long for a copy gets no name; nothing is changed, and it can have one when it is shorter.
#[test]
fn a_long_one_from_before() {
    need!("python3");
    let p = pair(Kind::InPlace);
    let mut w = told(&p, false);
    w.does("open_.update(f=tmp(V+'/x'))");
    w.does("os.truncate(open_['f'],(16<<20)+1)");
    offline(&p);
    comes_back(&p);
    for link in ["by_proc", "by_number"] {
        w.tell(&format!("{link}(open_['f'],V+'/named')"));
        let said = w.line();
        p.assert_equal();
        in_sync(&p);
        assert!(said.contains("OSError(18,"), "{link}: {said}");
    }
    w.does("os.truncate(open_['f'],16<<20)");
    w.does("by_proc(open_['f'],V+'/named')");
    w.end();
    in_sync(&p);
    p.assert_equal();
}
