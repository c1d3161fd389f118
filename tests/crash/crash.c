/* Lets a process die, or its disk be full, at one of its writes; preloaded by tests/crash/driver.py.
 *
 * Counts the calls that change the file `path`, or files in its folder whose name contains its name
 * (temporary ones do): write, pwrite, ftruncate, fsync, link, rename, unlink. From `arm` on, call
 * number `at` is the last: KILL dies before it. PART dies within it: after the part up to the first
 * border of two pages of memory, which is where Linux looks for signals, or else after all of it. FULL
 * makes every write from there on fail that would make the file longer.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { KILL = 1, PART = 2, FULL = 3 };

static char watched[4096];
static long count, last;
static int mode;

void arm(const char *path, long at, int how)
{
   snprintf(watched, sizeof watched, "%s", path);
   count = 0;
   last = at;
   mode = how;
}

long counted(void) { return count; }

static int is_watched(const char *path)
{
   const char *slash = strrchr(watched, '/');
   size_t folder = slash ? (size_t)(slash - watched) : 0;
   return mode && slash && strncmp(path, watched, folder) == 0 && strstr(path + folder, slash + 1);
}

static int is_watched_file(int file)
{
   char link[64], path[4096];
   if (!mode)
      return 0;
   snprintf(link, sizeof link, "/proc/self/fd/%d", file);
   ssize_t n = readlink(link, path, sizeof path - 1);
   if (n <= 0)
      return 0;
   path[n] = 0;
   return is_watched(path);
}

/* Whether this is the call. */
static int is_time(void)
{
   ++count;
   return mode == FULL ? count >= last : count == last;
}

/* How much of a write is done before the process dies. */
static size_t part(size_t nbytes, off_t position)
{
   const size_t page = 4096, room = page - (size_t)position % page;
   return room < nbytes ? room : nbytes;
}

static void die(void) { kill(getpid(), SIGKILL); }

static int is_longer(int file, off_t end)
{
   struct stat now;
   return fstat(file, &now) == 0 && end > now.st_size;
}

#define REAL(result, name, ...)                                                                       \
   static result (*real)(__VA_ARGS__);                                                                 \
   if (!real)                                                                                          \
   real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

ssize_t write(int file, const void *data, size_t nbytes)
{
   REAL(ssize_t, write, int, const void *, size_t);
   if (is_watched_file(file) && is_time()) {
      if (mode == FULL) {
         if (is_longer(file, lseek(file, 0, SEEK_CUR) + (off_t)nbytes)) {
            errno = ENOSPC;
            return -1;
         }
      } else {
         if (mode == PART)
            real(file, data, part(nbytes, lseek(file, 0, SEEK_CUR)));
         die();
      }
   }
   return real(file, data, nbytes);
}

static ssize_t write_at(ssize_t (*real)(int, const void *, size_t, off_t), int file, const void *data,
                        size_t nbytes, off_t position)
{
   if (is_watched_file(file) && is_time()) {
      if (mode == FULL) {
         if (is_longer(file, position + (off_t)nbytes)) {
            errno = ENOSPC;
            return -1;
         }
      } else {
         if (mode == PART)
            real(file, data, part(nbytes, position), position);
         die();
      }
   }
   return real(file, data, nbytes, position);
}

ssize_t pwrite(int file, const void *data, size_t nbytes, off_t position)
{
   REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
   return write_at(real, file, data, nbytes, position);
}

ssize_t pwrite64(int file, const void *data, size_t nbytes, off64_t position)
{
   REAL(ssize_t, pwrite64, int, const void *, size_t, off_t);
   return write_at(real, file, data, nbytes, position);
}

static int resize(int (*real)(int, off_t), int file, off_t length)
{
   if (is_watched_file(file) && is_time()) {
      if (mode == FULL) {
         if (is_longer(file, length)) {
            errno = ENOSPC;
            return -1;
         }
      } else {
         die();
      }
   }
   return real(file, length);
}

int ftruncate(int file, off_t length)
{
   REAL(int, ftruncate, int, off_t);
   return resize(real, file, length);
}

int ftruncate64(int file, off64_t length)
{
   REAL(int, ftruncate64, int, off_t);
   return resize(real, file, length);
}

int fsync(int file)
{
   REAL(int, fsync, int);
   if (is_watched_file(file) && is_time() && mode != FULL)
      die();
   return real(file);
}

int link(const char *from, const char *to)
{
   REAL(int, link, const char *, const char *);
   if (is_watched(to) && is_time() && mode != FULL)
      die();
   return real(from, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
   REAL(int, linkat, int, const char *, int, const char *, int);
   if (is_watched(to) && is_time() && mode != FULL)
      die();
   return real(from_folder, from, to_folder, to, flags);
}

int rename(const char *from, const char *to)
{
   REAL(int, rename, const char *, const char *);
   if (is_watched(to) && is_time() && mode != FULL)
      die();
   return real(from, to);
}

int unlink(const char *path)
{
   REAL(int, unlink, const char *);
   if (is_watched(path) && is_time() && mode != FULL)
      die();
   return real(path);
}
