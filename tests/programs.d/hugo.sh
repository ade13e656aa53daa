# title: Hugo
# group: Programs that cannot be mirrored
# does: as the child of a mirrored shell: a site
# needs: hugo
# packages: hugo
# version: hugo version
# note: written in Go: it makes its system calls itself, and as a child it reaches one leg.

work() {
    hugo new site site >/dev/null; cd site; mkdir -p layouts/_default; echo '{{ .Title }}' > layouts/_default/single.html; cp layouts/_default/single.html layouts/_default/list.html; for i in 1 2 3; do printf -- "---\ntitle: t$i\n---\n" > content/p$i.md; done; hugo --quiet
}

check() { sums site | grep html; }
