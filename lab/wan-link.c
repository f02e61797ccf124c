/* A wide-area line between two network namespaces, for kernels without netem: a TUN device at either end, and between them delay, jitter, loss
 * and rate, each way. It keeps the order of packets. Of what they carry it knows UDP, to take and give many datagrams at once where the kernel can
 * (UDP segmentation offload): each still has its own turn on the line, and its own luck.
 *   wan-link NAMESPACE DEVICE NAMESPACE DEVICE      (namespaces as paths)
 * Lines on standard input: "set DELAY_US JITTER_US LOSS_PPM RATE_KBIT QUEUE_BYTES" changes it and begins to count anew, answered by "ok";
 * "count" is answered by one object of JSON with what was counted from the first device to the second. It ends with its input. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 65536 /* packets on the way in one direction: a gigabit for 300 ms, and as many again that wait */
#define PACKET 2048
#define JOINED 65536    /* what the kernel hands over at once, at most */
#define SEGMENTS 40     /* as network cards join them */
#define TICK_NS 250000u   /* as they wait before they interrupt: a packet may be late by this */
#define LATE_BUCKETS 4096
#define LATE_BUCKET_NS 50000u
#define TAKE_AT_ONCE 32

/* Since Linux 6.2. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

struct packet {
  uint64_t due;
  struct virtio_net_hdr about;
  int size;
  unsigned char bytes[PACKET];
};

struct direction {
  int from, to;
  unsigned head, count;
  uint64_t last_due, line_free;
  uint64_t taken, lost, overflowed, delivered, failed, late[LATE_BUCKETS];
  struct packet slots[SLOTS];
};

static struct direction ways[2];
static uint64_t delay_ns, jitter_ns, loss_ppm, rate_kbit, queue_bytes, dice;

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* xorshift64* */
static uint64_t roll(uint64_t sides) {
  dice ^= dice >> 12;
  dice ^= dice << 25;
  dice ^= dice >> 27;
  return ((dice * 2685821657736338717u) >> 11) % sides;
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
  request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (ioctl(fd, TUNSETIFF, &request) < 0) fail(name);
  int header = sizeof(struct virtio_net_hdr);
  if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0) fail("TUNSETVNETHDRSZ");
  /* An older kernel hands over each packet by itself. */
  if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6) < 0 && ioctl(fd, TUNSETOFFLOAD, 0) < 0) fail("TUNSETOFFLOAD");
  return fd;
}

static void put16(unsigned char *at, unsigned value) {
  at[0] = (unsigned char)(value >> 8);
  at[1] = (unsigned char)value;
}

static unsigned get16(const unsigned char *at) { return (unsigned)at[0] << 8 | at[1]; }

static unsigned add_words(const unsigned char *at, int length, unsigned sum) {
  for (int i = 0; i < length; i += 2) sum += get16(at + i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

/* Makes headers fit so many bytes of UDP; of the checksum only the part that the kernel leaves to others to complete. */
static void fit_headers(unsigned char *bytes, int udp_at, int udp_bytes) {
  put16(bytes + udp_at + 4, (unsigned)udp_bytes);
  unsigned sum = 17 + (unsigned)udp_bytes;
  if (bytes[0] >> 4 == 4) {
    put16(bytes + 2, (unsigned)(udp_at + udp_bytes));
    put16(bytes + 10, 0);
    put16(bytes + 10, ~add_words(bytes, udp_at, 0) & 0xffff);
    sum = add_words(bytes + 12, 8, sum);
  } else {
    put16(bytes + 4, (unsigned)(udp_at - 40 + udp_bytes));
    sum = add_words(bytes + 8, 32, sum);
  }
  put16(bytes + udp_at + 6, sum);
}

/* What finds the line full is lost, as in a router. */
static void take_one(struct direction *way, uint64_t now, const struct virtio_net_hdr *about, const unsigned char *head, int head_size, const unsigned char *rest, int rest_size, unsigned number) {
  int size = head_size + rest_size;
  way->taken++;
  if (loss_ppm > 0 && roll(1000000) < loss_ppm) {
    way->lost++;
    return;
  }
  uint64_t start = now > way->line_free ? now : way->line_free;
  if (way->count == SLOTS || size > PACKET || (rate_kbit > 0 && (start - now) * rate_kbit / 8000000u > queue_bytes)) {
    way->overflowed++;
    return;
  }
  way->line_free = rate_kbit > 0 ? start + (uint64_t)size * 8000000u / rate_kbit : start;
  uint64_t due = way->line_free + delay_ns + (jitter_ns > 0 ? roll(jitter_ns) : 0);
  if (due < way->last_due) due = way->last_due;
  way->last_due = due;
  struct packet *packet = &way->slots[(way->head + way->count) % SLOTS];
  packet->due = due;
  packet->size = size;
  packet->about = *about;
  memcpy(packet->bytes, head, (size_t)head_size);
  memcpy(packet->bytes + head_size, rest, (size_t)rest_size);
  if (number != UINT32_MAX) {
    packet->about.gso_type = VIRTIO_NET_HDR_GSO_NONE;
    packet->about.gso_size = packet->about.hdr_len = 0;
    if (packet->bytes[0] >> 4 == 4) put16(packet->bytes + 4, get16(packet->bytes + 4) + number);
    fit_headers(packet->bytes, packet->about.csum_start, size - packet->about.csum_start);
  }
  way->count++;
}

static void take(struct direction *way, uint64_t now) {
  static unsigned char joined[sizeof(struct virtio_net_hdr) + JOINED];
  struct virtio_net_hdr about;
  for (int reads = 0; reads < TAKE_AT_ONCE; reads++) {
    int size = (int)read(way->from, joined, sizeof joined) - (int)sizeof about;
    if (size <= 0) return;
    memcpy(&about, joined, sizeof about);
    const unsigned char *bytes = joined + sizeof about;
    if (about.gso_type != VIRTIO_NET_HDR_GSO_UDP_L4) {
      take_one(way, now, &about, bytes, size, bytes, 0, UINT32_MAX);
      continue;
    }
    int head = about.csum_start + 8;
    unsigned number = 0;
    for (int at = head; at < size; at += about.gso_size, number++) {
      int rest = size - at < about.gso_size ? size - at : about.gso_size;
      take_one(way, now, &about, bytes, head, bytes + at, rest, number);
    }
  }
}

/* @returns the bytes before the data of a datagram that others may join, 0 for anything else */
static int joinable(const struct packet *packet) {
  const unsigned char *bytes = packet->bytes;
  int at = packet->about.csum_start;
  if (!(packet->about.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || packet->about.csum_offset != 6 || packet->size <= at + 8) return 0;
  if (bytes[0] == 0x45) return at == 20 && bytes[9] == 17 && (get16(bytes + 6) & 0x3fff) == 0 ? at + 8 : 0;
  return bytes[0] >> 4 == 6 && at == 40 && bytes[6] == 17 ? at + 8 : 0;
}

/* All that must be the same: hops and classes, addresses, ports. */
static int same_flow(const struct packet *a, const struct packet *b, int head) {
  if (a->about.csum_start != b->about.csum_start || a->bytes[0] != b->bytes[0] || a->bytes[1] != b->bytes[1]) return 0;
  if (head == 28) return a->bytes[8] == b->bytes[8] && memcmp(a->bytes + 12, b->bytes + 12, 12) == 0;
  return memcmp(a->bytes + 2, b->bytes + 2, 2) == 0 && memcmp(a->bytes + 6, b->bytes + 6, 38) == 0;
}

/* @returns how many packets at the head of the line go out as one: those that are due and whose data has the length of the first one's, but the last */
static unsigned joined_ahead(struct direction *way, uint64_t now, int head) {
  const struct packet *first = &way->slots[way->head];
  if (head == 0) return 1;
  unsigned packets = 1;
  while (packets < SEGMENTS && packets < way->count) {
    const struct packet *next = &way->slots[(way->head + packets) % SLOTS];
    if (next->due > now || joinable(next) != head || next->size > first->size || !same_flow(first, next, head)) break;
    packets++;
    if (next->size < first->size) break;
  }
  return packets;
}

static void deliver(struct direction *way, uint64_t now) {
  while (way->count > 0 && way->slots[way->head].due <= now) {
    struct packet *first = &way->slots[way->head];
    int head = joinable(first);
    unsigned packets = joined_ahead(way, now, head);
    struct virtio_net_hdr about = first->about;
    struct iovec parts[SEGMENTS + 1] = {{&about, sizeof about}, {first->bytes, (size_t)first->size}};
    int size = first->size;
    for (unsigned i = 1; i < packets; i++) {
      struct packet *next = &way->slots[(way->head + i) % SLOTS];
      parts[i + 1] = (struct iovec){next->bytes + head, (size_t)(next->size - head)};
      size += next->size - head;
    }
    if (packets > 1) {
      about.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
      about.gso_size = (uint16_t)(first->size - head);
      about.hdr_len = (uint16_t)head;
      fit_headers(first->bytes, head - 8, size - head + 8);
    }
    /* It fails when the device is down: then they are lost. */
    if (writev(way->to, parts, (int)packets + 1) < 0) way->failed += packets;
    else way->delivered += packets;
    for (unsigned i = 0; i < packets; i++) {
      uint64_t late = (now - way->slots[way->head].due) / LATE_BUCKET_NS;
      way->late[late < LATE_BUCKETS ? late : LATE_BUCKETS - 1]++;
      way->head = (way->head + 1) % SLOTS;
    }
    way->count -= packets;
  }
}

static double late_ms(const struct direction *way, double share) {
  uint64_t all = 0, below = 0;
  for (int i = 0; i < LATE_BUCKETS; i++) all += way->late[i];
  for (int i = 0; i < LATE_BUCKETS; i++) {
    below += way->late[i];
    if ((double)below >= share * (double)all) return (double)(i + 1) * LATE_BUCKET_NS / 1e6;
  }
  return 0;
}

static void forget_counts(struct direction *way) {
  way->taken = way->lost = way->overflowed = way->delivered = way->failed = 0;
  memset(way->late, 0, sizeof way->late);
}

static void tell_counts(const struct direction *way) {
  printf("{\"taken\":%llu,\"lost\":%llu,\"overflowed\":%llu,\"delivered\":%llu,\"failed\":%llu,\"lateMs\":%.2f,\"lateP99Ms\":%.2f}\n",
    (unsigned long long)way->taken, (unsigned long long)way->lost, (unsigned long long)way->overflowed, (unsigned long long)way->delivered,
    (unsigned long long)way->failed, late_ms(way, 0.5), late_ms(way, 0.99));
}

/* @returns 0 when the input has ended */
static int obey(void) {
  static char line[256];
  static size_t length;
  ssize_t got = read(0, line + length, sizeof line - 1 - length);
  if (got <= 0) return 0;
  length += (size_t)got;
  line[length] = 0;
  char *end;
  while ((end = strchr(line, '\n')) != NULL) {
    unsigned long long delay, jitter, loss, rate, queue;
    *end = 0;
    if (sscanf(line, "set %llu %llu %llu %llu %llu", &delay, &jitter, &loss, &rate, &queue) == 5) {
      delay_ns = delay * 1000;
      jitter_ns = jitter * 1000;
      loss_ppm = loss;
      rate_kbit = rate;
      queue_bytes = queue;
      for (int i = 0; i < 2; i++) forget_counts(&ways[i]);
      puts("ok");
    } else if (strcmp(line, "count") == 0) tell_counts(&ways[0]);
    fflush(stdout);
    length -= (size_t)(end + 1 - line);
    memmove(line, end + 1, length + 1);
  }
  return length < sizeof line - 1;
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  int a = open_device(argv[1], argv[2]);
  int b = open_device(argv[3], argv[4]);
  ways[0].from = ways[1].to = a;
  ways[0].to = ways[1].from = b;
  dice = now_ns() | 1;
  /* Late packets would be a slower line; where none of this is allowed, it is one. */
  struct sched_param first = {.sched_priority = 1};
  if (sched_setscheduler(0, SCHED_RR, &first) < 0 && setpriority(PRIO_PROCESS, 0, -15) < 0) errno = 0;
  puts("ready");
  fflush(stdout);
  for (;;) {
    uint64_t now = now_ns(), next = UINT64_MAX;
    for (int i = 0; i < 2; i++) {
      deliver(&ways[i], now);
      if (ways[i].count > 0 && ways[i].slots[ways[i].head].due < next) next = ways[i].slots[ways[i].head].due;
    }
    struct pollfd sources[3] = {{0, POLLIN, 0}, {a, POLLIN, 0}, {b, POLLIN, 0}};
    uint64_t until = next < now + TICK_NS ? now + TICK_NS : next;
    struct timespec wait = {(time_t)((until - now) / 1000000000u), (long)((until - now) % 1000000000u)};
    if (ppoll(sources, 3, next == UINT64_MAX ? NULL : &wait, NULL) < 0) continue;
    if (sources[0].revents != 0 && !obey()) return 0;
    now = now_ns();
    if (sources[1].revents & POLLIN) take(&ways[0], now);
    if (sources[2].revents & POLLIN) take(&ways[1], now);
  }
}
