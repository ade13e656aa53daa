// Every register but rax, rcx and r11 keeps its value across an intercepted write, vector registers whole; how much stack it takes.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct state {
    uint64_t gpr[13];          // rbx rbp rdi rsi rdx r8 r9 r10 r12 r13 r14 r15 rax
    uint64_t flags;
    uint32_t mxcsr; uint16_t cw, pad;
    _Alignas(64) uint8_t v[16][64];
};
#define USED __attribute__((used)) static
USED struct state in, out;
USED void *volatile fn, *volatile stack_top;
USED uint64_t saved_rsp;
extern void probe256(void), probe512(void), probe128(void);

#define LOADV(ins, r) \
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n" ins " in+128+64*\\n(%rip), %" r "\\n\n.endr\n"
#define STOREV(ins, r) \
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n" ins " %" r "\\n, out+128+64*\\n(%rip)\n.endr\n"
#define PROBE(name, ins, r) \
    asm(".text\n" #name ":\n push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n" \
        " mov %rsp, saved_rsp(%rip); mov stack_top(%rip), %rsp\n" LOADV(ins, r) \
        " ldmxcsr in+112(%rip); fldcw in+116(%rip)\n" \
        " mov in+0(%rip),%rbx; mov in+8(%rip),%rbp; mov in+16(%rip),%rdi; mov in+24(%rip),%rsi; mov in+32(%rip),%rdx\n" \
        " mov in+40(%rip),%r8; mov in+48(%rip),%r9; mov in+56(%rip),%r10; mov in+64(%rip),%r12; mov in+72(%rip),%r13\n" \
        " mov in+80(%rip),%r14; mov in+88(%rip),%r15\n" \
        " call *fn(%rip)\n" \
        " mov %rbx,out+0(%rip); mov %rbp,out+8(%rip); mov %rdi,out+16(%rip); mov %rsi,out+24(%rip); mov %rdx,out+32(%rip)\n" \
        " mov %r8,out+40(%rip); mov %r9,out+48(%rip); mov %r10,out+56(%rip); mov %r12,out+64(%rip); mov %r13,out+72(%rip)\n" \
        " mov %r14,out+80(%rip); mov %r15,out+88(%rip); mov %rax,out+96(%rip)\n" \
        " stmxcsr out+112(%rip); fnstcw out+116(%rip)\n" STOREV(ins, r) \
        " mov saved_rsp(%rip), %rsp\n pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n ret\n")
PROBE(probe128, "movups", "xmm");
PROBE(probe256, "vmovups", "ymm");
PROBE(probe512, "vmovups", "zmm");

int main(void) {
    fn = dlsym(RTLD_DEFAULT, "__write_nocancel");
    if (!fn) { puts("no __write_nocancel here: skipped"); return 0; }
    char *area = mmap(0, 65536, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_top = area + 65536 - 64;
    int width = __builtin_cpu_supports("avx512f") ? 64 : __builtin_cpu_supports("avx") ? 32 : 16, bad = 0, deepest = 0;
    int fd = open("/dev/null", O_WRONLY);
    for (int round = 0; round < 2000; round++) {
        uint8_t *p = (uint8_t *)&in;
        for (size_t i = 0; i < sizeof in; i++) p[i] = random();
        in.mxcsr = 0x1f80 | (round & 3) << 13; in.cw = 0x37f; in.pad = 0;
        // upper halves of an int argument are nobody's business
        in.gpr[2] = (uint32_t)fd | (uint64_t)round << 32;
        in.gpr[3] = (uint64_t)"text"; in.gpr[4] = 4;
        memset(area, 0x5a, 65536 - 64);
        (width == 64 ? probe512 : width == 32 ? probe256 : probe128)();
        for (int i = 0; i < 12; i++)
            if (in.gpr[i] != out.gpr[i] && bad++ < 5) printf("gpr %d: %lx %lx\n", i, in.gpr[i], out.gpr[i]);
        for (int i = 0; i < 16; i++)
            if (memcmp(in.v[i], out.v[i], width) && bad++ < 5) printf("vector %d\n", i);
        if (in.mxcsr != (out.mxcsr & ~0x3f) || in.cw != out.cw) bad++, printf("control words\n");
        if (out.gpr[12] != 4) bad++, printf("result %ld\n", out.gpr[12]);
        int low = 0;
        while (area[low] == 0x5a) low++;
        int used = (char *)stack_top - 8 - (area + low);
        if (used > deepest) deepest = used;
    }
    printf("%d bits wide, %d bad, stack %d bytes\n", width * 8, bad, deepest);
    return bad != 0 || deepest > 640;
}
