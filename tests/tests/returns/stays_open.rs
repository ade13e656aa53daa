//! What stays open in programs across the return of leg b: whatever was done by it, and last, is on both legs when it is
//! closed, though nothing more is done by it.
use super::unnoticed::on_its_way;
use super::*;

/// Files that are held in each way; each is changed in one way, by the descriptor.
const HOLDERS: &str = r"
import fcntl,itertools
def by(flags,lock=None,size=0):
  def opened(path):
    fd=os.open(path,flags)
    if lock: lock(fd)
    return fd
  return opened
kept=[]
def mapped(path):
  fd=os.open(path,os.O_RDWR); m=mmap.mmap(fd,0); m[0:1]=b'm'; m.flush(); kept.append(m); return fd
WAYS={
 'read': by(os.O_RDONLY),
 'write': by(os.O_WRONLY),
 'both': by(os.O_RDWR),
 'append': by(os.O_WRONLY|os.O_APPEND),
 'flock': by(os.O_RDWR,lambda fd: fcntl.flock(fd,fcntl.LOCK_EX)),
 'lockf': by(os.O_RDWR,lambda fd: fcntl.lockf(fd,fcntl.LOCK_EX)),
 'mapped': mapped,
 'dir': by(os.O_RDONLY|os.O_DIRECTORY),
}
LATER=(1500000000*10**9+1,1500000001*10**9+1)
def same(fd):
  # The bytes that are there already: of all, only the time is another.
  os.pwrite(fd,b'0123456789',0)
def more(fd):
  os.pwrite(fd,b'9876543210XYZ',0)
ACTS={
 'same': same,
 'more': more,
 'time': lambda fd: os.utime(fd,ns=LATER),
 'cut': lambda fd: (os.ftruncate(fd,3),os.ftruncate(fd,10)),
 'mode': lambda fd: os.fchmod(fd,0o750),
 'owner': lambda fd: os.fchown(fd,-1,GROUP),
 'attribute': lambda fd: os.setxattr(fd,'user.of',b'mine'),
 'gone': lambda fd: (os.setxattr(fd,'user.was',b''),os.removexattr(fd,'user.was')),
}
GROUP=(os.getgroups() or [os.getgid()])[-1] if os.getuid() else 12345
DATA={'same','more','cut'}
# A process maps 32 files.
MAPPED={'same','more','time','mode'}
def cases():
  for way,act in itertools.product(WAYS,ACTS):
    if act in DATA and way in ('read','dir') or (way,act)==('append','same') or way=='mapped' and act not in MAPPED: continue
    yield way,act
held={}
def make(when):
  for way,act in cases():
    path=f'{V}/{when}/{way}-{act}'
    if way=='dir': os.makedirs(path)
    else:
      os.makedirs(os.path.dirname(path),exist_ok=True)
      with open(path,'w') as f: f.write('0123456789')
    os.setxattr(path,'user.was',b'there')
def hold(when):
  for way,act in cases(): held[when,way,act]=WAYS[way](f'{V}/{when}/{way}-{act}')
def do(when):
  for way,act in cases(): ACTS[act](held[when,way,act])
def close():
  for fd in held.values(): os.close(fd)
  held.clear(); kept.clear()
def stamp(): return {k:os.fstat(fd).st_mtime_ns for k,fd in held.items()}
";

/// Each way to hold it, and each way to change it, last before leg b is on its way back, then, or both.
#[test]
fn whatever_was_done_last() {
    need!("python3", "strace");
    for others in [0, 1] {
        let p = pair(Kind::InPlace);
        p.run("mkdir $V/many; for i in $(seq 200); do echo $i > $V/many/$i; done")
            .ok();
        let mut w = python(&p, HOLDERS);
        let mut more: Vec<Told> = (0..others).map(|_| python(&p, HOLDERS)).collect();
        const WHEN: [&str; 6] = ["before", "away", "renamed", "removed", "joining", "through"];
        for when in WHEN {
            w.does(&format!("make('{when}')"));
            w.does(&format!("hold('{when}')"));
        }
        for when in ["before", "through"] {
            w.does(&format!("do('{when}')"));
        }
        offline(&p);
        for when in ["away", "renamed", "removed", "through"] {
            w.does(&format!("do('{when}')"));
        }
        p.run("cd $V/renamed; for f in *; do mv $f new-$f; done; rm -r $V/removed")
            .ok();
        on_its_way(&p);
        for when in ["joining", "through"] {
            w.does(&format!("do('{when}')"));
        }
        for w in &mut more {
            // A partner that owes nothing.
            w.does("held.update({(x,f):os.open(f'{V}/{x}/{f}',os.O_RDWR) for x in ['before','away','renamed','through'] for f in os.listdir(V+'/'+x) if os.path.isfile(f'{V}/{x}/{f}')})");
        }
        comes_back(&p);
        for w in more.iter_mut().chain([&mut w]) {
            w.does("close()");
        }
        p.assert_equal();
        w.end();
        more.into_iter().for_each(Told::end);
        in_sync(&p);
        p.assert_equal();
        p.verify().ok();
    }
}
