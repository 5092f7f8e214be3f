/* Raw system calls: return the kernel's result or -errno and never touch errno.
 *
 * The library exports close, accept4, epoll_ctl and their kin, so a call to them from inside would
 * enter our own wrappers; and errno belongs to the application. Nothing here is a cancellation
 * point, allocates, or needs libc to be initialised. */
#pragma once
#include <stdint.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
static inline long sys_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static inline long sys_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory", "cc");
	return x0;
}
#else
#error "librssshim runs on x86-64 and aarch64"
#endif

#define SYS_ARG(x) ((long)(uintptr_t)(x))
#define SYS_CALL_N(nr, a, b, c, d, e, f, ...) \
	sys_call6(nr, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), SYS_ARG(e), SYS_ARG(f))
/* sys(SYS_close, fd): missing arguments are 0. */
#define sys(nr, ...) SYS_CALL_N(nr, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
