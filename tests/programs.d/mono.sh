# title: Mono
# group: Languages and their tools
# does: mcs, a program with threads, FileStream, File.Replace, FileSystemWatcher's directory
# needs: mono mcs
# packages: mono-mcs mono-runtime
# version: mono --version

work() {
    cat > job.cs <<'CS'
using System; using System.IO; using System.Threading; using System.Text;
class Job { static void Main() {
    var t = new Thread[8]; for (int n = 0; n < 8; n++) { int k = n; t[n] = new Thread(() => { using (var w = new StreamWriter("f" + k)) for (int i = 0; i < 300; i++) w.WriteLine(k + " " + i); }); t[n].Start(); } foreach (var x in t) x.Join();
    File.Move("f1", "moved"); Directory.CreateDirectory("d/e"); File.Copy("f2", "d/copy"); File.Delete("f3"); File.WriteAllText("new", "n"); File.WriteAllText("old", "o"); File.Replace("new", "old", "backup");
    for (int i = 0; i < 20; i++) File.AppendAllText("log", "entry " + i + "\n"); File.SetLastWriteTimeUtc("log", new DateTime(2001, 9, 9));
    using (var s = new FileStream("f4", FileMode.Open, FileAccess.ReadWrite)) { s.Seek(10, SeekOrigin.Begin); s.Write(Encoding.ASCII.GetBytes("XYZ"), 0, 3); s.SetLength(500); s.Flush(true); }
} }
CS
    mcs -out:job.exe job.cs; MONO_DISABLE_SHARED_AREA=1 mono job.exe
}

check() { sha256sum f0 f4 moved d/copy old backup log; stat -c '%Y %s' log; ls; }
