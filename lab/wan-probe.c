/* Tells what a line between two machines carries of plain UDP, without anything of ours above it: whether an emulated line is what it is said to be.
 *   wan-probe receive PORT                             prints "ready", then, when all is over, one object of JSON
 *   wan-probe send ADDRESS PORT KBIT MS                sends that much per second, IP headers counted, and prints how many datagrams that were
 * Both must run on one machine, whose clock they share. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define DATA 1350
#define HEADERS 28
#define AT_ONCE 40
#define TICK_NS 500000u
#define SILENCE_MS 700 /* the longest line has 100 ms one way, and as much again waits */
#define MAX_DATAGRAMS 2000000

struct mark {
  uint64_t sent_ns;
  uint32_t last;
};

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int by_size(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static int receive(int port) {
  static unsigned char data[AT_ONCE][DATA];
  static uint32_t delays_us[MAX_DATAGRAMS];
  int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 16 << 20;
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) < 0) fail("bind");
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  puts("ready");
  fflush(stdout);
  struct iovec parts[AT_ONCE];
  struct mmsghdr messages[AT_ONCE];
  memset(messages, 0, sizeof messages);
  for (int i = 0; i < AT_ONCE; i++) {
    parts[i] = (struct iovec){data[i], DATA};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  size_t count = 0;
  uint64_t first = 0, last = 0;
  for (int over = 0; !over;) {
    int got = recvmmsg(fd, messages, AT_ONCE, MSG_WAITFORONE, NULL);
    if (got < 0) break;
    uint64_t now = now_ns();
    if (first == 0) {
      struct timeval silence = {0, SILENCE_MS * 1000};
      setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence);
      first = now;
    }
    for (int i = 0; i < got; i++) {
      struct mark mark;
      memcpy(&mark, data[i], sizeof mark);
      if (mark.last) over = 1;
      else if (count < MAX_DATAGRAMS) delays_us[count++] = (uint32_t)((now - mark.sent_ns) / 1000);
    }
    last = now;
  }
  qsort(delays_us, count, sizeof delays_us[0], by_size);
  printf("{\"received\":%zu,\"seconds\":%.3f,\"delayMs\":%.2f,\"delayP99Ms\":%.2f}\n", count, (double)(last - first) / 1e9,
    count == 0 ? 0 : delays_us[count / 2] / 1e3, count == 0 ? 0 : delays_us[count * 99 / 100] / 1e3);
  return 0;
}

static int send_all(const char *address, int port, uint64_t kbit, uint64_t ms) {
  static unsigned char data[AT_ONCE][DATA];
  int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 4 << 20, segment = DATA;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) fail("connect");
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  int at_once = setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment) == 0 ? AT_ONCE : 1;
  uint64_t start = now_ns(), sent = 0, all = kbit * ms / 8 / (DATA + HEADERS);
  while (sent < all) {
    uint64_t now = now_ns(), allowed = (now - start) * kbit / 8000000u / (DATA + HEADERS);
    if (allowed > all) allowed = all;
    while (sent < allowed) {
      int count = allowed - sent < (uint64_t)at_once ? (int)(allowed - sent) : at_once;
      struct mark mark = {now, 0};
      for (int i = 0; i < count; i++) memcpy(data[i], &mark, sizeof mark);
      if (send(fd, data, (size_t)count * DATA, 0) < 0) fail("send");
      sent += (uint64_t)count;
    }
    struct timespec tick = {0, TICK_NS};
    nanosleep(&tick, NULL);
  }
  /* Several, as some are lost; behind all others, as the line keeps their order. */
  struct mark mark = {now_ns(), 1};
  memcpy(data[0], &mark, sizeof mark);
  for (int i = 0; i < 20; i++) {
    if (send(fd, data[0], DATA, 0) < 0) fail("send");
  }
  printf("{\"sent\":%llu}\n", (unsigned long long)sent);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "receive") == 0) return receive(atoi(argv[2]));
  if (argc == 6 && strcmp(argv[1], "send") == 0) return send_all(argv[2], atoi(argv[3]), strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10));
  return 2;
}
