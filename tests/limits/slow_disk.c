/* A disk on which nothing is durable before 20 ms have passed, as on a memory card: loaded before
 * the C library (LD_PRELOAD), it takes the place of the two calls that wait for a disk. Each call
 * appends one byte to the file that SLOW_DISK_CALLS names, so that they can be counted. */
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int wait_for_disk(void)
{
    static const struct timespec latency = { 0, 20 * 1000 * 1000 };
    const char *name = getenv("SLOW_DISK_CALLS");
    int calls = name ? open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

    if (calls >= 0) {
        if (write(calls, ".", 1) != 1)
            abort();
        close(calls);
    }
    nanosleep(&latency, NULL);
    return 0;
}

int fsync(int file)
{
    (void)file;
    return wait_for_disk();
}

int fdatasync(int file)
{
    (void)file;
    return wait_for_disk();
}
