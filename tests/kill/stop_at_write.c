/* Preloaded into a process: ends it with SIGKILL at its n-th write below a folder.
 *
 * A write is whatever changes the file system: open for writing, write, ftruncate, fchmod, fsync, rename, unlink,
 * mkdir, rmdir, link, symlink. The process ends before the n-th takes effect; "torn": the n-th call of write puts
 * down half of its bytes first. Nothing is counted until sf_stop_arm; children do not inherit it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The calls of the C library are replaced, whatever the compiler is told of symbols. */
#pragma GCC visibility push(default)

static char root[PATH_MAX];
static size_t root_length;
static long stop_at, counted;
static bool torn;

/* folder: an absolute path without links. at: which write; 0 counts only. */
void sf_stop_arm(const char *folder, long at, int tear);
long sf_stop_counted(void);

void sf_stop_arm(const char *folder, long at, int tear) {
  snprintf(root, sizeof root, "%s", folder);
  root_length = strlen(root);
  stop_at = at;
  counted = 0;
  torn = tear != 0;
}

long sf_stop_counted(void) { return counted; }

__attribute__((constructor)) static void not_for_children(void) { unsetenv("LD_PRELOAD"); }

static bool below(const char *path) {
  return root_length > 0 && strncmp(path, root, root_length) == 0 &&
         (path[root_length] == '/' || path[root_length] == '\0');
}

static bool below_fd(int fd) {
  char link[64], path[PATH_MAX];
  if (root_length == 0) {
    return false;
  }
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) {
    return false;
  }
  path[length] = '\0';
  return below(path);
}

static bool below_at(int folder, const char *path) {
  if (path[0] == '/') {
    return below(path);
  }
  if (folder != AT_FDCWD) {
    return below_fd(folder);
  }
  char here[PATH_MAX];
  return root_length > 0 && getcwd(here, sizeof here) != NULL && below(here);
}

static void end(void) {
  syscall(SYS_kill, getpid(), SIGKILL);
  for (;;) {
    pause();
  }
}

/* Counts one write; true: it is the one to stop at. */
static bool reached(bool counts) { return counts && ++counted == stop_at; }

static void count(bool counts) {
  if (reached(counts)) {
    end();
  }
}

static int open_counted(int folder, const char *path, int flags, mode_t mode) {
  if ((flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) != 0) {
    count(below_at(folder, path));
  }
  return (int)syscall(SYS_openat, folder, path, flags, mode);
}

#define OPEN(NAME)                                      \
  int NAME(const char *path, int flags, ...) {          \
    va_list more;                                       \
    va_start(more, flags);                              \
    const mode_t mode = (mode_t)va_arg(more, unsigned); \
    va_end(more);                                       \
    return open_counted(AT_FDCWD, path, flags, mode);   \
  }
#define OPENAT(NAME)                                       \
  int NAME(int folder, const char *path, int flags, ...) { \
    va_list more;                                          \
    va_start(more, flags);                                 \
    const mode_t mode = (mode_t)va_arg(more, unsigned);    \
    va_end(more);                                          \
    return open_counted(folder, path, flags, mode);        \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int fd, const void *bytes, size_t length) {
  if (reached(below_fd(fd))) {
    if (torn) {
      (void)!syscall(SYS_write, fd, bytes, length / 2);
    }
    end();
  }
  return syscall(SYS_write, fd, bytes, length);
}

ssize_t writev(int fd, const struct iovec *parts, int count_of_parts) {
  count(below_fd(fd));
  return syscall(SYS_writev, fd, parts, count_of_parts);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
  count(below_fd(fd));
  return syscall(SYS_pwrite64, fd, bytes, length, at);
}

ssize_t sendfile64(int out, int in, off64_t *at, size_t length) {
  count(below_fd(out));
  return syscall(SYS_sendfile, out, in, at, length);
}

int ftruncate(int fd, off_t length) {
  count(below_fd(fd));
  return (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate64(int fd, off64_t length) {
  count(below_fd(fd));
  return (int)syscall(SYS_ftruncate, fd, length);
}

int fchmod(int fd, mode_t mode) {
  count(below_fd(fd));
  return (int)syscall(SYS_fchmod, fd, mode);
}

int chmod(const char *path, mode_t mode) {
  count(below_at(AT_FDCWD, path));
  return (int)syscall(SYS_fchmodat, AT_FDCWD, path, mode);
}

int fsync(int fd) {
  count(below_fd(fd));
  return (int)syscall(SYS_fsync, fd);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
  count(below_at(from, old) || below_at(to, new));
  return (int)syscall(SYS_renameat2, from, old, to, new, flags);
}

int rename(const char *old, const char *new) { return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0); }

int renameat(int from, const char *old, int to, const char *new) { return renameat2(from, old, to, new, 0); }

int unlinkat(int folder, const char *path, int flags) {
  count(below_at(folder, path));
  return (int)syscall(SYS_unlinkat, folder, path, flags);
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int folder, const char *path, mode_t mode) {
  count(below_at(folder, path));
  return (int)syscall(SYS_mkdirat, folder, path, mode);
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int linkat(int from, const char *old, int to, const char *new, int flags) {
  count(below_at(to, new));
  return (int)syscall(SYS_linkat, from, old, to, new, flags);
}

int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }

int symlinkat(const char *text, int folder, const char *path) {
  count(below_at(folder, path));
  return (int)syscall(SYS_symlinkat, text, folder, path);
}

int symlink(const char *text, const char *path) { return symlinkat(text, AT_FDCWD, path); }
