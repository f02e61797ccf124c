/* A wide-area line between two network namespaces, for kernels without netem: a TUN device at either end, and between them delay, jitter, loss
 * and rate, each way. It keeps the order of packets. It knows nothing of what they carry.
 *   wan-link NAMESPACE DEVICE NAMESPACE DEVICE      (namespaces as paths)
 * Lines on standard input change it: "DELAY_US JITTER_US LOSS_PPM RATE_KBIT QUEUE_BYTES"; it answers "ok". It ends with its input. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 65536 /* packets on the way in one direction: a gigabit for 300 ms, and as many again that wait */
#define PACKET 2048

struct direction {
  int from, to;
  unsigned head, count;
  uint64_t last_due, line_free;
  uint64_t due[SLOTS];
  int size[SLOTS];
  unsigned char bytes[SLOTS][PACKET];
};

static struct direction ways[2];
static uint64_t delay_ns, jitter_ns, loss_ppm, rate_kbit, queue_bytes;

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int open_device(const char *ns, const char *name) {
  int ns_fd = open(ns, O_RDONLY | O_CLOEXEC);
  if (ns_fd < 0 || setns(ns_fd, CLONE_NEWNET) < 0) fail(ns);
  close(ns_fd);
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  if (fd < 0) fail("/dev/net/tun");
  struct ifreq request;
  memset(&request, 0, sizeof request);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (ioctl(fd, TUNSETIFF, &request) < 0) fail(name);
  return fd;
}

/* Takes what has arrived; what finds the line full is lost, as in a router. */
static void take(struct direction *way, uint64_t now) {
  unsigned char spare[PACKET];
  for (;;) {
    unsigned slot = (way->head + way->count) % SLOTS;
    int full = way->count == SLOTS;
    int size = (int)read(way->from, full ? spare : way->bytes[slot], PACKET);
    if (size <= 0) return;
    if (full || (uint64_t)(random() % 1000000) < loss_ppm) continue;
    uint64_t start = now > way->line_free ? now : way->line_free;
    if (rate_kbit > 0 && (start - now) * rate_kbit / 8000000u > queue_bytes) continue;
    if (rate_kbit > 0) way->line_free = start + (uint64_t)size * 8000000u / rate_kbit;
    else way->line_free = start;
    uint64_t due = way->line_free + delay_ns + (jitter_ns > 0 ? (uint64_t)random() % jitter_ns : 0);
    if (due < way->last_due) due = way->last_due;
    way->last_due = due;
    way->due[slot] = due;
    way->size[slot] = size;
    way->count++;
  }
}

static void deliver(struct direction *way, uint64_t now) {
  while (way->count > 0 && way->due[way->head] <= now) {
    if (write(way->to, way->bytes[way->head], (size_t)way->size[way->head]) < 0) { /* the device is down: lost */ }
    way->head = (way->head + 1) % SLOTS;
    way->count--;
  }
}

/* @returns 0 when the input has ended */
static int obey(void) {
  static char line[256];
  static size_t length;
  ssize_t got = read(0, line + length, sizeof line - 1 - length);
  if (got <= 0) return 0;
  length += (size_t)got;
  line[length] = 0;
  char *end = strchr(line, '\n');
  if (end == NULL) return length < sizeof line - 1;
  unsigned long long delay, jitter, loss, rate, queue;
  if (sscanf(line, "%llu %llu %llu %llu %llu", &delay, &jitter, &loss, &rate, &queue) == 5) {
    delay_ns = delay * 1000;
    jitter_ns = jitter * 1000;
    loss_ppm = loss;
    rate_kbit = rate;
    queue_bytes = queue;
    puts("ok");
    fflush(stdout);
  }
  length = 0;
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  int a = open_device(argv[1], argv[2]);
  int b = open_device(argv[3], argv[4]);
  ways[0].from = ways[1].to = a;
  ways[0].to = ways[1].from = b;
  srandom((unsigned)now_ns());
  /* Late packets would be a slower line; where that is not allowed, it is one. */
  if (setpriority(PRIO_PROCESS, 0, -15) < 0) errno = 0;
  puts("ready");
  fflush(stdout);
  for (;;) {
    uint64_t now = now_ns(), next = UINT64_MAX;
    for (int i = 0; i < 2; i++) {
      deliver(&ways[i], now);
      if (ways[i].count > 0 && ways[i].due[ways[i].head] < next) next = ways[i].due[ways[i].head];
    }
    struct pollfd sources[3] = {{0, POLLIN, 0}, {a, POLLIN, 0}, {b, POLLIN, 0}};
    struct timespec wait = {0, 0};
    if (next != UINT64_MAX && next > now) {
      wait.tv_sec = (time_t)((next - now) / 1000000000u);
      wait.tv_nsec = (long)((next - now) % 1000000000u);
    }
    if (ppoll(sources, 3, next == UINT64_MAX ? NULL : &wait, NULL) < 0) continue;
    if (sources[0].revents != 0 && !obey()) return 0;
    now = now_ns();
    if (sources[1].revents & POLLIN) take(&ways[0], now);
    if (sources[2].revents & POLLIN) take(&ways[1], now);
  }
}
