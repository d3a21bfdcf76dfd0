// A model server that computes nothing: one thread, epoll, keep-alive, OpenAI-shaped answers.
//
// A marker picks the behaviour. It is the first @ of the request's messages, so it passes through any proxy,
// also one that rebuilds the body:
//   @json     a JSON answer at once
//   @100x10   a stream of 100 events, 10 ms apart (0: all at once, one write each)
// Each event is one token: its content is the send time in microseconds of CLOCK_MONOTONIC (13 digits),
// from which the load generator on the same machine reads the delay. A stream ends with a finish event, a
// usage event and [DONE], which come together one gap after the last token.
//
// usage: mock PORT [PORT...]
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  CONNECTIONS_MAX = 16384,
  REQUEST_BYTES_MAX = 1048576,
  TOKENS_ANSWERED = 300,
  TIMERS_MAX = 65536,
  GAPS_MAX = 8,
  READY_MAX = 256,
};

typedef struct {
  char *buffer;    // bytes of requests not yet answered
  int length;
  int generation;  // grows at each close, so that a timer of an earlier connection is recognised
  int tokens, tokens_left;  // of the running stream
} Connection;

typedef struct {
  int fd, generation;
  long long due_us;
} Timer;

// All events of one queue have the same gap, so the first in is the first due.
typedef struct {
  Timer timers[TIMERS_MAX];
  unsigned head, tail;
  long long gap_us;  // 0: the queue is not used
} Queue;

static Connection connections[CONNECTIONS_MAX];
static char is_listener[CONNECTIONS_MAX];
static Queue queues[GAPS_MAX];
static char answer[8192];
static int answer_length, poller;

#define CHUNK_HEAD                                                                            \
  "{\"id\":\"chatcmpl-0123456789abcdef\",\"object\":\"chat.completion.chunk\","               \
  "\"created\":1700000000,\"model\":\"mock\",\"choices\":["
static const char STREAM_HEAD[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
static const char FINISH_EVENT[] =
    CHUNK_HEAD "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}";
static const char USAGE_EVENT[] =
    CHUNK_HEAD "],\"usage\":{\"prompt_tokens\":42,\"completion_tokens\":%d,\"total_tokens\":%d}}";
static const char MODELS[] =
    "{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":\"model\",\"created\":1700000000,"
    "\"owned_by\":\"mock\",\"max_model_len\":1048576}]}";
static const char STATUS[] = "{\"status\":\"ok\"}";

static long long now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void close_connection(int fd) {
  close(fd);
  connections[fd].generation++;
  connections[fd].length = connections[fd].tokens_left = 0;
}

// Waits for a slow reader: a stream is about 25 kB and the socket's buffer holds it, so this is rare.
static void put(int fd, const char *bytes, int count) {
  while (count > 0) {
    ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN) return;
      nanosleep(&(struct timespec){0, 200000}, 0);
      continue;
    }
    bytes += sent;
    count -= sent;
  }
}

static void start_timer(Queue *queue, int fd, long long due_us) {
  queue->timers[queue->tail++ % TIMERS_MAX] = (Timer){fd, connections[fd].generation, due_us};
}

// One server-sent event as one HTTP chunk; returns the bytes written to `out`.
static int frame(char *out, const char *data, int count) {
  return sprintf(out, "%x\r\ndata: %.*s\n\n\r\n", count + 8, count, data);
}

static void send_token(int fd, int first) {
  char data[512], out[640];
  int count = sprintf(data, CHUNK_HEAD "{\"index\":0,\"delta\":{%s\"content\":\"%013lld\"},"
                      "\"logprobs\":null,\"finish_reason\":null}]}",
                      first ? "\"role\":\"assistant\"," : "", now_us());
  put(fd, out, frame(out, data, count));
}

static void finish_stream(int fd) {
  char usage[512], out[2048];
  int tokens = connections[fd].tokens, usage_length = sprintf(usage, USAGE_EVENT, tokens, tokens + 42);
  int count = frame(out, FINISH_EVENT, sizeof FINISH_EVENT - 1);
  count += frame(out + count, usage, usage_length);
  count += frame(out + count, "[DONE]", 6);
  count += sprintf(out + count, "0\r\n\r\n");
  put(fd, out, count);
}

static Queue *queue_of(long long gap_us) {
  int i = 0;
  while (i < GAPS_MAX - 1 && queues[i].gap_us && queues[i].gap_us != gap_us) i++;
  queues[i].gap_us = gap_us;
  return &queues[i];
}

static void start_stream(int fd, int tokens, long long gap_us) {
  connections[fd].tokens = tokens;
  put(fd, STREAM_HEAD, sizeof STREAM_HEAD - 1);
  send_token(fd, 1);
  if (gap_us) {
    connections[fd].tokens_left = tokens - 1;
    start_timer(queue_of(gap_us), fd, now_us() + gap_us);
    return;
  }
  for (int i = 1; i < tokens; i++) send_token(fd, 0);
  finish_stream(fd);
}

static void send_json(int fd, const char *body) {
  char out[2048];
  put(fd, out, sprintf(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\n\r\n%s", strlen(body), body));
}

static void respond(int fd, const char *head, const char *body, int count) {
  int tokens, gap_ms;
  const char *marker = memchr(body, '@', count);
  if (!strncmp(head, "GET", 3)) send_json(fd, strstr(head, "/v1/models") ? MODELS : STATUS);
  else if (marker && sscanf(marker, "@%dx%d", &tokens, &gap_ms) == 2) start_stream(fd, tokens, gap_ms * 1000LL);
  else put(fd, answer, answer_length);
}

// Length of the body that follows `head` (a terminated string), or -1 while a chunked one is incomplete.
static int body_length(const char *head, const char *body, int available) {
  const char *field = strcasestr(head, "\r\ncontent-length:");
  if (field) return atoi(field + 17);
  if (!strcasestr(head, "\r\ntransfer-encoding: chunked")) return 0;
  const char *end = memmem(body, available, "0\r\n\r\n", 5);
  return end ? (int)(end + 5 - body) : -1;
}

static void answer_whole_requests(int fd) {
  Connection *c = &connections[fd];
  for (;;) {
    c->buffer[c->length] = 0;
    char *end = strstr(c->buffer, "\r\n\r\n");
    if (!end) return;
    int head_length = end + 4 - c->buffer;
    end[2] = 0;
    int length = body_length(c->buffer, c->buffer + head_length, c->length - head_length);
    end[2] = '\r';
    if (length < 0 || c->length < head_length + length) return;
    respond(fd, c->buffer, c->buffer + head_length, length);
    c->length -= head_length + length;
    memmove(c->buffer, c->buffer + head_length + length, c->length);
  }
}

static void receive(int fd) {
  Connection *c = &connections[fd];
  ssize_t count = recv(fd, c->buffer + c->length, REQUEST_BYTES_MAX - c->length, 0);
  if (count < 0 && errno == EAGAIN) return;
  if (count <= 0) {
    close_connection(fd);
    return;
  }
  c->length += count;
  answer_whole_requests(fd);
}

static void watch(int fd) {
  struct epoll_event interest = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
  epoll_ctl(poller, EPOLL_CTL_ADD, fd, &interest);
}

static void accept_all(int listener) {
  int fd, on = 1;
  while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
    if (fd >= CONNECTIONS_MAX) {
      close(fd);
      continue;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    Connection *c = &connections[fd];
    if (!c->buffer) c->buffer = malloc(REQUEST_BYTES_MAX + 1);
    c->length = c->tokens_left = 0;
    watch(fd);
  }
}

static int next_due(Queue *queue, long long now, Timer *due) {
  while (queue->head != queue->tail && queue->timers[queue->head % TIMERS_MAX].due_us <= now) {
    *due = queue->timers[queue->head++ % TIMERS_MAX];
    if (connections[due->fd].generation == due->generation) return 1;
  }
  return 0;
}

static void run_timers(void) {
  Timer due;
  long long now = now_us();
  for (Queue *queue = queues; queue < queues + GAPS_MAX; queue++)
    while (next_due(queue, now, &due)) {
      if (connections[due.fd].tokens_left-- > 0) {
        send_token(due.fd, 0);
        start_timer(queue, due.fd, due.due_us + queue->gap_us);
      } else {
        finish_stream(due.fd);
      }
    }
}

static long long wait_us(long long now, long long longest) {
  for (const Queue *queue = queues; queue < queues + GAPS_MAX; queue++)
    if (queue->head != queue->tail) {
      long long left = queue->timers[queue->head % TIMERS_MAX].due_us - now;
      if (left < longest) longest = left < 0 ? 0 : left;
    }
  return longest;
}

static void prepare_answer(void) {
  char body[4096];
  int count = sprintf(body, "{\"id\":\"chatcmpl-0123456789abcdef\",\"object\":\"chat.completion\","
                      "\"created\":1700000000,\"model\":\"mock\",\"choices\":[{\"index\":0,\"message\":"
                      "{\"role\":\"assistant\",\"content\":\"");
  for (int i = 0; i < TOKENS_ANSWERED; i++) count += sprintf(body + count, "w%d ", i % 10);
  count += sprintf(body + count, "\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":"
                   "{\"prompt_tokens\":42,\"completion_tokens\":%d,\"total_tokens\":%d}}",
                   TOKENS_ANSWERED, TOKENS_ANSWERED + 42);
  answer_length = sprintf(answer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                          "Content-Length: %d\r\n\r\n%s", count, body);
}

static int listen_on(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(fd, (void *)&address, sizeof address) || listen(fd, 4096)) return -1;
  is_listener[fd] = 1;
  watch(fd);
  return 0;
}

int main(int argc, char **argv) {
  poller = epoll_create1(0);
  prepare_answer();
  for (int i = 1; i < argc; i++)
    if (listen_on(atoi(argv[i]))) {
      perror(argv[i]);
      return 1;
    }
  struct epoll_event ready[READY_MAX];
  for (;;) {
    long long now = now_us(), wait = wait_us(now, 1000000);
    struct timespec timeout = {wait / 1000000, wait % 1000000 * 1000};
    int count = epoll_pwait2(poller, ready, READY_MAX, &timeout, 0);
    for (int i = 0; i < count; i++) {
      int fd = ready[i].data.fd;
      if (is_listener[fd]) accept_all(fd);
      else receive(fd);
    }
    run_timers();
  }
}
