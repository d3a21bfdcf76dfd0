// HTTP/1.1 load generator: one thread, epoll, keep-alive connections, the same request again and again.
//
// Closed loop (rate 0): each connection sends its next request when the last answer is complete; fifty or
// more connections join over the first second. Fixed rate: requests start at scheduled instants, and
// latency counts from that instant, so a queue in front of a slow server is not hidden.
//
// When the time is up no request starts any more, but running ones may end for DRAIN_S: the processor time
// that the server spent on them then belongs to answers that are counted. Every sample is kept, so percentiles
// are exact to the microsecond. Prints one JSON object.
//
// With TLS 1 the same goes over TLS 1.3 with AES-256-GCM, whatever the server prefers, so that all servers do
// the same work. Whose certificate it is is not looked at. Connections, and their handshakes, are made before
// the time starts.
//
// usage: load PORT PATH BODY_FILE CONNECTIONS SECONDS RATE TLS [HEADER...]
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 4096, LINE_MAX_BYTES = 4096, READY_MAX = 512, RAMP_US = 1000000, AGAIN = -1, GONE = -2 };
static const double DRAIN_S = 4.0;

enum state { HEAD, FIXED_BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, LAST_LINE, UNTIL_CLOSE };

typedef struct {
  int fd, busy, closing;
  SSL *tls;
  size_t sent;  // bytes of the running request; `stuck`: the rest waits for room in the socket
  int stuck;
  enum state state;
  int status, events, done;  // of the running answer; `done`: the [DONE] event was seen
  long long start_us, remain, event_us, event_sent_us;  // the latter two: of the last event
  char head[HEAD_MAX], line[LINE_MAX_BYTES], size[20];
  int head_length, line_length, size_length;
} Connection;

typedef struct {
  unsigned *values;
  size_t count, room;
} Samples;

static Connection *connections;
static int *idle, idle_count, poller;
static SSL_CTX *secure;
static char *request;
static size_t request_length;
static struct sockaddr_in server;
static long long end_us;
static Samples latency, first_event, event_delay;
static struct {
  long long requests, requests_in_time, events, events_in_time, bad_status, broken, cut, reconnects;
  long long stall_us;  // the longest: by how much two events came further apart than they were sent
} total;

static long long now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void add(Samples *samples, long long value) {
  if (samples->count == samples->room) {
    samples->room = samples->room ? samples->room * 2 : 65536;
    samples->values = realloc(samples->values, samples->room * sizeof *samples->values);
  }
  samples->values[samples->count++] = value;
}

static void watch(Connection *c, int operation, unsigned events) {
  struct epoll_event interest = {.events = events, .data.ptr = c};
  epoll_ctl(poller, operation, c->fd, &interest);
}

static void hang_up(Connection *c) {
  if (c->tls) SSL_free(c->tls);
  c->tls = NULL;
  close(c->fd);
  c->fd = -1;
  total.reconnects++;
}

static int shake_hands(Connection *c) {
  if (!secure) return 1;
  c->tls = SSL_new(secure);
  SSL_set_fd(c->tls, c->fd);
  return SSL_connect(c->tls) == 1;
}

static int dial(Connection *c) {
  int on = 1;
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(c->fd, (void *)&server, sizeof server) || !shake_hands(c)) {
    hang_up(c);
    return -1;
  }
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  watch(c, EPOLL_CTL_ADD, EPOLLIN);
  return 0;
}

// Both return the bytes that went through, AGAIN, or GONE; `get` 0 when the server has closed.
static ssize_t get(Connection *c, char *bytes, int room) {
  ssize_t count = c->tls ? SSL_read(c->tls, bytes, room) : recv(c->fd, bytes, room, 0);
  if (count > 0) return count;
  if (!c->tls) return count == 0 ? 0 : errno == EAGAIN ? AGAIN : GONE;
  int why = SSL_get_error(c->tls, count);
  return why == SSL_ERROR_WANT_READ ? AGAIN : why == SSL_ERROR_ZERO_RETURN ? 0 : GONE;
}

static ssize_t give(Connection *c, const char *bytes, size_t length) {
  ssize_t count = c->tls ? SSL_write(c->tls, bytes, length) : send(c->fd, bytes, length, MSG_NOSIGNAL);
  if (count > 0) return count;
  int full = c->tls ? SSL_get_error(c->tls, count) == SSL_ERROR_WANT_WRITE : errno == EAGAIN;
  return full ? AGAIN : GONE;
}

static void give_up(Connection *c) {
  total.broken++;
  c->busy = 0;
  hang_up(c);
  idle[idle_count++] = c - connections;
}

static void push(Connection *c) {
  ssize_t count = 0;
  while (c->sent < request_length && (count = give(c, request + c->sent, request_length - c->sent)) > 0)
    c->sent += count;
  if (count == GONE) {
    give_up(c);
    return;
  }
  int stuck = c->sent < request_length;
  if (stuck != c->stuck) watch(c, EPOLL_CTL_MOD, stuck ? EPOLLIN | EPOLLOUT : EPOLLIN);
  c->stuck = stuck;
}

// A connection that failed to dial stays out of the idle list: the run goes on with the others.
static void fire(Connection *c, long long start_us) {
  if (c->fd < 0 && dial(c)) {
    total.broken++;
    return;
  }
  c->busy = 1;
  c->state = HEAD;
  c->closing = c->events = c->done = c->head_length = c->line_length = c->size_length = c->stuck = 0;
  c->sent = 0;
  c->start_us = start_us;
  push(c);
}

static void finish(Connection *c, long long t) {
  c->busy = 0;
  total.requests++;
  total.requests_in_time += t < end_us;
  total.bad_status += c->status != 200;
  total.cut += c->events > 0 && !c->done;
  add(&latency, t - c->start_us);
  if (c->closing || c->stuck) hang_up(c);
  idle[idle_count++] = c - connections;
}

static void end_line(Connection *c, long long t) {
  c->line[c->line_length] = 0;
  c->line_length = 0;
  if (memcmp(c->line, "data:", 5)) return;
  if (!c->events++) add(&first_event, t - c->start_us);
  total.events++;
  total.events_in_time += t < end_us;
  c->done |= strstr(c->line, "[DONE]") != NULL;
  char *content = strstr(c->line, "\"content\":");
  if (!content) return;
  long long sent_us = atoll(content + 10 + strspn(content + 10, " \""));
  if (sent_us <= 0) return;
  add(&event_delay, t - sent_us);
  long long stall = c->events > 1 ? t - c->event_us - (sent_us - c->event_sent_us) : 0;
  if (stall > total.stall_us) total.stall_us = stall;
  c->event_us = t;
  c->event_sent_us = sent_us;
}

static void take_body(Connection *c, const char *bytes, int count, long long t) {
  while (count > 0) {
    const char *newline = memchr(bytes, '\n', count);
    int part = newline ? newline - bytes : count;
    if (c->line_length + part < LINE_MAX_BYTES) {
      memcpy(c->line + c->line_length, bytes, part);
      c->line_length += part;
    }
    if (!newline) return;
    end_line(c, t);
    count -= part + 1;
    bytes = newline + 1;
  }
}

// How the body is delimited, from the whole head; returns 1 when the answer has no body.
static int read_head(Connection *c) {
  const char *field;
  c->status = atoi(c->head + 9);
  c->closing = strcasestr(c->head, "\r\nconnection: close") != NULL;
  if ((field = strcasestr(c->head, "\r\ncontent-length:"))) {
    c->remain = atoll(field + 17);
    c->state = FIXED_BODY;
    return c->remain == 0;
  }
  c->state = strcasestr(c->head, "\r\ntransfer-encoding: chunked") ? CHUNK_SIZE : UNTIL_CLOSE;
  c->closing |= c->state == UNTIL_CLOSE;
  return 0;
}

// Takes bytes up to the end of the head; returns how many, and sets `complete` when the answer ended there.
static int take_head(Connection *c, const char *bytes, int count, int *complete) {
  int before = c->head_length, room = HEAD_MAX - 1 - before, part = count < room ? count : room;
  memcpy(c->head + before, bytes, part);
  c->head[c->head_length += part] = 0;
  char *end = strstr(c->head, "\r\n\r\n");
  if (!end) {
    c->closing = *complete = part == 0;  // a head that fills the buffer: give the connection up
    return part;
  }
  end[2] = 0;
  *complete = read_head(c);
  return end + 4 - c->head - before;
}

static int take_data(Connection *c, const char *bytes, int count, long long t) {
  int part = count < c->remain ? count : (int)c->remain;
  take_body(c, bytes, part, t);
  c->remain -= part;
  return part;
}

static void take_size_byte(Connection *c, char byte) {
  if (byte != '\n') {
    if (c->size_length < (int)sizeof c->size - 1) c->size[c->size_length++] = byte;
    return;
  }
  c->size[c->size_length] = 0;
  c->size_length = 0;
  c->remain = strtol(c->size, 0, 16);
  c->state = c->remain ? CHUNK_DATA : LAST_LINE;
}

static void take(Connection *c, const char *bytes, int count, long long t) {
  while (count > 0) {
    int used = 1, complete = 0;
    switch (c->state) {
      case HEAD: used = take_head(c, bytes, count, &complete); break;
      case FIXED_BODY:
        used = take_data(c, bytes, count, t);
        complete = c->remain == 0;
        break;
      case CHUNK_SIZE: take_size_byte(c, *bytes); break;
      case CHUNK_DATA:
        used = take_data(c, bytes, count, t);
        if (!c->remain) c->state = CHUNK_END;
        break;
      case CHUNK_END:
        if (*bytes == '\n') c->state = CHUNK_SIZE;
        break;
      case LAST_LINE: complete = *bytes == '\n'; break;
      case UNTIL_CLOSE:
        take_body(c, bytes, count, t);
        used = count;
        break;
    }
    if (complete) {
      finish(c, t);
      return;
    }
    bytes += used;
    count -= used;
  }
}

static void closed_by_server(Connection *c) {
  int whole = c->state == UNTIL_CLOSE;
  if (c->busy && !whole) {
    give_up(c);
    return;
  }
  hang_up(c);
  c->closing = 0;
  if (c->busy) finish(c, now_us());
}

// What TLS holds decrypted the poller does not see, so there all is read at once.
static void receive(Connection *c) {
  static char bytes[262144];
  ssize_t count;
  do {
    count = get(c, bytes, sizeof bytes);
    if (count == AGAIN) return;
    if (count <= 0) closed_by_server(c);
    else if (c->busy) take(c, bytes, count, now_us());
  } while (c->tls);
}

static void poll_for(long long wait) {
  struct epoll_event ready[READY_MAX];
  if (wait < 0) wait = 0;
  struct timespec timeout = {wait / 1000000, wait % 1000000 * 1000};
  int count = epoll_pwait2(poller, ready, READY_MAX, &timeout, 0);
  for (int i = 0; i < count; i++) {
    Connection *c = ready[i].data.ptr;
    if (c->fd >= 0 && c->stuck && ready[i].events & EPOLLOUT) push(c);
    if (c->fd >= 0 && ready[i].events & ~EPOLLOUT) receive(c);
  }
}

static void run_fixed_rate(long long start, double rate) {
  double due = start;
  for (long long t; (t = now_us()) < end_us;) {
    for (; due <= t && idle_count; due += 1e6 / rate) fire(&connections[idle[--idle_count]], (long long)due);
    long long next = idle_count ? (long long)due : t + 1000;
    poll_for((next < end_us ? next : end_us) - t);
  }
}

// Connections that have not started lie at the bottom of the idle stack, the next one to start uppermost.
static void run_closed_loop(long long start, int count) {
  int launched = 0;
  long long ramp_us = count < 50 ? 0 : end_us - start > 2 * RAMP_US ? RAMP_US : (end_us - start) / 2;
  for (long long t; (t = now_us()) < end_us;) {
    int allowed = t - start >= ramp_us ? count : (int)((double)count * (t - start) / ramp_us) + 1;
    while (idle_count) {
      int next = idle[idle_count - 1];
      if (next >= launched) {
        if (launched >= allowed) break;
        launched++;
      }
      idle_count--;
      fire(&connections[next], t);
    }
    poll_for(launched < count ? 1000 : end_us - t);
  }
}

static int busy_count(int count) {
  int busy = 0;
  for (int i = 0; i < count; i++) busy += connections[i].busy;
  return busy;
}

static int drain(int count) {
  long long last = end_us + (long long)(DRAIN_S * 1e6);
  while (busy_count(count) && now_us() < last) poll_for(1000);
  return busy_count(count);
}

static void build_request(char **argv, int argc) {
  FILE *file = fopen(argv[3], "r");
  if (!file || fseek(file, 0, SEEK_END)) {
    perror(argv[3]);
    exit(2);
  }
  size_t length = ftell(file), room = length + 4096;
  for (int i = 8; i < argc; i++) room += strlen(argv[i]) + 2;
  request = malloc(room);
  int n = sprintf(request, "POST %s HTTP/1.1\r\nHost: localhost:%s\r\nUser-Agent: OpenAI/Python 2.8.0\r\n"
                  "Accept: application/json\r\nContent-Type: application/json\r\n", argv[2], argv[1]);
  for (int i = 8; i < argc; i++) n += sprintf(request + n, "%s\r\n", argv[i]);
  n += sprintf(request + n, "Content-Length: %zu\r\n\r\n", length);
  rewind(file);
  request_length = n + fread(request + n, 1, length, file);
  fclose(file);
}

static void prepare_tls(void) {
  secure = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(secure, TLS1_3_VERSION);
  SSL_CTX_set_ciphersuites(secure, "TLS_AES_256_GCM_SHA384");
  SSL_CTX_set_mode(secure, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  signal(SIGPIPE, SIG_IGN);
}

static int ascending(const void *a, const void *b) {
  unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
  return (x > y) - (x < y);
}

static void print_samples(const char *name, Samples *samples) {
  qsort(samples->values, samples->count, sizeof *samples->values, ascending);
  static const int percents[] = {50, 90, 99, 100};
  for (int i = 0; i < 4; i++) {
    unsigned value = samples->count ? samples->values[(samples->count - 1) * percents[i] / 100] : 0;
    printf(",\"%s_us_p%d\":%u", name, percents[i], value);
  }
}

static void report(double seconds, double elapsed, int unfinished) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  double cpu_s = use.ru_utime.tv_sec + use.ru_stime.tv_sec +
                 (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
  printf("{\"requests\":%lld,\"requests_per_s\":%.1f,\"events\":%lld,\"events_per_s\":%.0f", total.requests,
         total.requests_in_time / seconds, total.events, total.events_in_time / seconds);
  printf(",\"bad_status\":%lld,\"broken\":%lld,\"cut\":%lld,\"reconnects\":%lld,\"unfinished\":%d",
         total.bad_status, total.broken, total.cut, total.reconnects, unfinished);
  print_samples("latency", &latency);
  print_samples("first_event", &first_event);
  print_samples("event_delay", &event_delay);
  printf(",\"stall_us\":%lld", total.stall_us);
  printf(",\"elapsed_s\":%.3f,\"load_cpu_s\":%.3f}\n", elapsed, cpu_s);
}

int main(int argc, char **argv) {
  if (argc < 8) {
    fprintf(stderr, "usage: load PORT PATH BODY_FILE CONNECTIONS SECONDS RATE TLS [HEADER...]\n");
    return 2;
  }
  int count = atoi(argv[4]);
  double seconds = atof(argv[5]), rate = atof(argv[6]);
  server = (struct sockaddr_in){
      .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  build_request(argv, argc);
  if (atoi(argv[7])) prepare_tls();
  poller = epoll_create1(0);
  connections = calloc(count, sizeof *connections);
  idle = malloc(count * sizeof *idle);
  for (int i = 0; i < count; i++) {
    connections[i].fd = -1;
    if (dial(&connections[i])) total.broken++;
    idle[idle_count++] = count - 1 - i;
  }
  long long start = now_us();
  end_us = start + (long long)(seconds * 1e6);
  if (rate > 0) run_fixed_rate(start, rate);
  else run_closed_loop(start, count);
  int unfinished = drain(count);
  report(seconds, (now_us() - start) / 1e6, unfinished);
}
