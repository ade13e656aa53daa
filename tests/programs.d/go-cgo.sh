# title: Go with cgo
# group: Languages and their tools
# does: a dynamic program: goroutines, callbacks from C threads, os and syscall packages, a crash that is recovered; built outside
# needs: go cc
# packages: golang-go gcc
# version: go version
# limit: 900

work() {
    mkdir "$S/src"; cat > "$S/src/main.go" <<'GO'
package main

// #include <pthread.h>
// #include <stdio.h>
// extern void fromC(int);
// static void *run(void *p) { char b[32]; sprintf(b, "c%ld", (long)p); FILE *f = fopen(b, "w"); fprintf(f, "c thread %ld\n", (long)p); fclose(f); fromC((int)(long)p); return 0; }
// static void threads(void) { pthread_t t[8]; for (long i = 0; i < 8; i++) pthread_create(&t[i], 0, run, (void *)i); for (int i = 0; i < 8; i++) pthread_join(t[i], 0); }
import "C"
import ("fmt"; "os"; "os/exec"; "sync"; "syscall")

//export fromC
func fromC(n C.int) { os.WriteFile(fmt.Sprintf("go%d", n), []byte(fmt.Sprintf("called back %d\n", n)), 0644) }

func fault() (s string) { defer func() { s = fmt.Sprint(recover() != nil) }(); var p *int; *p = 1; return }

func main() {
	var w sync.WaitGroup
	for n := 0; n < 40; n++ { w.Add(1); go func(n int) { defer w.Done(); name := fmt.Sprintf("f%d", n); for i := 0; i < 50; i++ { f, _ := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0644); fmt.Fprintln(f, n, i); f.Close() }; os.Rename(name, "done."+name); C.threads0(C.int(n)) }(n) }
	w.Wait(); C.threads()
	syscall.Mkdir("d", 0755); os.Symlink("d", "soft"); os.Link("done.f1", "hard"); os.Truncate("done.f2", 10); os.Chmod("done.f3", 0600); os.Remove("done.f4")
	exec.Command("sh", "-c", "echo child > child").Run()
	os.WriteFile("fault", []byte(fault()), 0644)
}
GO
    sed -i 's/; C.threads0(C.int(n))//' "$S/src/main.go"
    (cd "$S/src"; export GOCACHE=$S/cache GOFLAGS=-mod=mod GO111MODULE=auto; MIRROR_NET=${MIRROR_NET-} go build -o "$S/job" main.go); "$S/job"
}

check() { sha256sum done.* c? go? child fault; stat -c '%n %a %h' hard done.f3; readlink soft; }
