/* httpload: keep-alive HTTP/1.1 connections that ask again and again, every body compared with the file on disk.
 *
 *   httpload [options] ADDRESS PORT /PATH=LOCALFILE...
 *     -n CONNECTIONS  (50)            -d SECONDS  how long new requests are sent (4)
 *     -R RATE   requests a second over all connections (as many as the server answers)
 *     -T SECONDS  limit for the whole run (duration + 20)
 *     -u AGENT  the User-Agent; %M in it becomes a MAC address of the connection's own
 *     -a        one source address in 127/8 for each connection
 *     -k        TLS, one suite offered for 1.3 and one for 1.2    -C FILE  trust only this authority (implies -k)
 * Connection i asks for path i modulo the number of paths. A body that was begun is always read to its end. SIGTERM
 * ends the sending early. Prints one JSON object. Exit 0: every answer was exact; 1: some answer was not; 2: usage or
 * system error. Build with -DNO_TLS where OpenSSL's headers are missing.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifndef NO_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#else
typedef void SSL;
#endif

enum { EVENTS = 128, DESCRIPTORS = 20000, HEAD = 8192 };
/* With 256 KiB and less this program is the bottleneck of big plain bodies (100 % of its processor), with 512 KiB it
 * is not (70 %) at the same rate; see README.md, "What the figures depend on". */
enum { ROOM = 512 * 1024, TLS_ROOM = 64 * 1024 };
enum state { CONNECTING, HANDSHAKE, IDLE, IN_HEAD, IN_BODY, GONE };

struct file {
    const char *path, *bytes;
    size_t size;
};

struct connection {
    int fd, number;
    enum state state;
    struct file *file;
    SSL *tls;
    char request[1024], head[HEAD];
    size_t request_size;
    size_t head_size, offset;
    bool asked_before; /* it has had an answer: a closed connection is then the server's right */
    double asked;
};

static struct { long requests, failed, wrong, bytes, reconnects, late; } total;

static char first_error[300], protocol[80] = "HTTP/1.1";
static struct sockaddr_in server;
static int poll_fd, open_now, busy;
static bool own_address, secure;
static double now, slowest;
static volatile sig_atomic_t ended;
static char room[ROOM];

#ifndef NO_TLS
static SSL_CTX *context;
#endif

static double clock_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void end(int signal_number) {
    (void)signal_number;
    ended = 1;
}

static void die(const char *what) {
    fprintf(stderr, "httpload: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void close_connection(struct connection *c) {
    if (c->state == IN_HEAD || c->state == IN_BODY)
        busy--;
#ifndef NO_TLS
    if (c->tls)
        SSL_free(c->tls);
#endif
    c->tls = NULL;
    close(c->fd);
    c->state = GONE;
    open_now--;
}

/* One connection less for the rest of the run, and exit 1 at the end. */
static void fail(struct connection *c, const char *why) {
    if (!first_error[0]) {
        snprintf(first_error, sizeof first_error, "connection %d: %.200s", c->number, why);
        for (char *p = first_error; *p; p++)
            if (*p == '"' || *p == '\\' || (unsigned char)*p < 32 || (unsigned char)*p > 126)
                *p = '?';
    }
    total.failed++;
    close_connection(c);
}

static void open_connection(struct connection *c) {
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (own_address) {
        struct sockaddr_in here = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(0x7F110000u + (c->number / 250) * 256 + c->number % 250 + 1)};
        if (bind(c->fd, (struct sockaddr *)&here, sizeof here) < 0)
            die("bind");
    }
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
        die("connect");
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl");
    c->state = CONNECTING;
    c->asked_before = false;
    open_now++;
}

static void listen_for(struct connection *c, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

static void ask(struct connection *c) {
    ssize_t sent;
    c->head_size = c->offset = 0;
    c->state = IN_HEAD;
    c->asked = now;
    busy++;
#ifndef NO_TLS
    if (c->tls)
        sent = SSL_write(c->tls, c->request, c->request_size);
    else
#endif
        sent = send(c->fd, c->request, c->request_size, MSG_NOSIGNAL);
    if (sent == (ssize_t)c->request_size)
        return;
    if (c->asked_before && !c->tls && sent < 0 && (errno == EPIPE || errno == ECONNRESET)) {
        close_connection(c);
        total.reconnects++;
        return open_connection(c);
    }
    fail(c, "the request could not be sent");
}

/* Checks status and length once the head is whole; gives the head's size, 0 if more is needed, -1 if it is wrong. */
static long head_end(struct connection *c) {
    char *stop = memmem(c->head, c->head_size, "\r\n\r\n", 4);
    if (!stop)
        return c->head_size < HEAD ? 0 : -1;
    if (memcmp(c->head, "HTTP/1.1 200", 12))
        return -1;
    for (char *line = c->head; line < stop; line = (char *)memchr(line, '\n', stop + 2 - line) + 1)
        if (!strncasecmp(line, "Content-Length:", 15))
            return strtoull(line + 15, NULL, 10) == c->file->size ? stop + 4 - c->head : -1;
    return -1;
}

/* Returns false when the connection is no longer this request's. */
static bool receive(struct connection *c, const char *bytes, size_t size) {
    if (c->state == IN_HEAD) {
        size_t before = c->head_size, part = size < HEAD - before ? size : HEAD - before;
        memcpy(c->head + before, bytes, part);
        c->head_size += part;
        long head = head_end(c);
        if (head == 0)
            return true;
        if (head < 0) {
            c->head[c->head_size < 60 ? c->head_size : 60] = 0;
            fail(c, c->head);
            return false;
        }
        bytes += head - before;
        size -= head - before;
        c->state = IN_BODY;
    } else if (c->state != IN_BODY) {
        total.wrong++;
        fail(c, "bytes that nobody asked for");
        return false;
    }
    if (size > c->file->size - c->offset || memcmp(bytes, c->file->bytes + c->offset, size)) {
        total.wrong++;
        fail(c, "a wrong byte in the body");
        return false;
    }
    c->offset += size;
    total.bytes += size;
    if (c->offset == c->file->size) {
        total.requests++;
        busy--;
        if (now - c->asked > slowest)
            slowest = now - c->asked;
        c->state = IDLE;
        c->asked_before = true;
    }
    return true;
}

static void closed_by_server(struct connection *c) {
    if (c->state == IDLE || (c->state == IN_HEAD && !c->head_size && c->asked_before)) {
        close_connection(c);
        total.reconnects++;
        if (!ended)
            open_connection(c);
    } else {
        fail(c, "closed by the server");
    }
}

#ifndef NO_TLS
static void tls_error(struct connection *c) {
    char text[200];
    unsigned long code = ERR_get_error();
    ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    fail(c, code ? text : "the TLS connection was cut");
}

static void handshake(struct connection *c) {
    if (!c->tls) {
        c->tls = SSL_new(context);
        SSL_set_fd(c->tls, c->fd);
        SSL_set_tlsext_host_name(c->tls, "localhost");
    }
    c->state = HANDSHAKE;
    int done = SSL_connect(c->tls);
    if (done == 1) {
        snprintf(protocol, sizeof protocol, "%s %s", SSL_get_version(c->tls), SSL_get_cipher_name(c->tls));
        c->state = IDLE;
        return listen_for(c, EPOLLIN);
    }
    int want = SSL_get_error(c->tls, done);
    if (want == SSL_ERROR_WANT_READ)
        listen_for(c, EPOLLIN);
    else if (want == SSL_ERROR_WANT_WRITE)
        listen_for(c, EPOLLOUT);
    else
        tls_error(c);
}

static void read_tls(struct connection *c) {
    for (;;) {
        int size = SSL_read(c->tls, room, ROOM);
        if (size > 0) {
            if (!receive(c, room, size))
                return;
            continue;
        }
        int want = SSL_get_error(c->tls, size);
        if (want == SSL_ERROR_WANT_READ)
            return;
        if (want == SSL_ERROR_ZERO_RETURN)
            return closed_by_server(c);
        return tls_error(c);
    }
}

static void prepare_tls(const char *authority) {
    context = SSL_CTX_new(TLS_client_method());
    if (!context || !SSL_CTX_set_ciphersuites(context, "TLS_AES_256_GCM_SHA384") ||
        !SSL_CTX_set_cipher_list(context, "ECDHE-RSA-AES256-GCM-SHA384")) {
        fprintf(stderr, "httpload: the TLS suites are not available\n");
        exit(2);
    }
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, TLS_ROOM);
    if (!authority)
        return;
    if (!SSL_CTX_load_verify_locations(context, authority, NULL)) {
        fprintf(stderr, "httpload: %s is not a certificate file\n", authority);
        exit(2);
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
}
#endif

static void connected(struct connection *c) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error)
        return fail(c, strerror(error));
#ifndef NO_TLS
    if (secure)
        return handshake(c);
#endif
    c->state = IDLE;
    listen_for(c, EPOLLIN);
}

static void ready(struct connection *c) {
    if (c->state == CONNECTING)
        return connected(c);
#ifndef NO_TLS
    if (c->state == HANDSHAKE)
        return handshake(c);
    if (c->tls)
        return read_tls(c);
#endif
    ssize_t size = recv(c->fd, room, ROOM, 0);
    if (size > 0)
        receive(c, room, size);
    else if (size == 0)
        closed_by_server(c);
    else if (errno != EAGAIN)
        fail(c, strerror(errno));
}

static void load(struct file *file, char *argument) {
    char *path = strchr(argument, '=');
    if (!path || argument[0] != '/' || path - argument > 400) {
        fprintf(stderr, "httpload: write /PATH=LOCALFILE instead of %s\n", argument);
        exit(2);
    }
    *path++ = 0;
    int fd = open(path, O_RDONLY);
    struct stat facts;
    if (fd < 0 || fstat(fd, &facts) < 0)
        die(path);
    file->size = facts.st_size;
    file->bytes = file->size ? mmap(NULL, file->size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0) : "";
    if (file->bytes == MAP_FAILED)
        die(path);
    close(fd);
    file->path = argument;
}

static void prepare(struct connection *c, const char *host, const char *agent) {
    char own[300], mac[16] = "";
    const char *mark = strstr(agent, "%M");
    int before = mark ? (int)(mark - agent) : (int)strlen(agent);
    if (mark)
        snprintf(mac, sizeof mac, "c81fea%06x", c->number & 0xffffff);
    snprintf(own, sizeof own, "%.*s%s%s", before, agent, mac, mark ? mark + 2 : "");
    c->request_size = snprintf(c->request, sizeof c->request,
                               "GET %s HTTP/1.1\r\nHost: %.60s\r\nUser-Agent: %s\r\nAccept: */*\r\n\r\n",
                               c->file->path, host, own);
}

int main(int argc, char **argv) {
    int connections = 50, option;
    double duration = 4, limit = 0, rate = 0;
    const char *agent = "httpload", *authority = NULL;
    while ((option = getopt(argc, argv, "n:d:R:T:u:akC:")) != -1)
        switch (option) {
        case 'n': connections = atoi(optarg); break;
        case 'd': duration = atof(optarg); break;
        case 'R': rate = atof(optarg); break;
        case 'T': limit = atof(optarg); break;
        case 'u': agent = optarg; break;
        case 'a': own_address = true; break;
        case 'k': secure = true; break;
        case 'C': secure = true; authority = optarg; break;
        default: return 2;
        }
    int files = argc - optind - 2;
    if (files < 1 || connections < 1) {
        fprintf(stderr, "usage: httpload [-n connections] [-d seconds] [-R rate] [-T limit] [-u agent] [-a] [-k] [-C ca] "
                        "ADDRESS PORT /PATH=LOCALFILE...\n");
        return 2;
    }
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[optind + 1]))};
    if (inet_pton(AF_INET, argv[optind], &server.sin_addr) != 1) {
        fprintf(stderr, "httpload: %s is not an IPv4 address\n", argv[optind]);
        return 2;
    }
#ifndef NO_TLS
    if (secure)
        prepare_tls(authority);
#else
    (void)authority;
    if (secure) {
        fprintf(stderr, "httpload: built without TLS\n");
        return 2;
    }
#endif
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, end);
    signal(SIGINT, end);
    struct rlimit descriptors;
    getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max < DESCRIPTORS ? descriptors.rlim_max : DESCRIPTORS;
    setrlimit(RLIMIT_NOFILE, &descriptors);
    struct file *list = calloc(files, sizeof *list);
    struct connection *all = calloc(connections, sizeof *all);
    if (!list || !all || (poll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
        die("start");
    for (int i = 0; i < files; i++)
        load(&list[i], argv[optind + 2 + i]);

    double start = now = clock_now(), stop = start + duration;
    if (limit <= 0)
        limit = duration + 20;
    for (int i = 0; i < connections; i++) {
        all[i].number = i;
        all[i].file = &list[i % files];
        prepare(&all[i], argv[optind], agent);
        open_connection(&all[i]);
    }
    double asked = 0; /* requests sent, for the rate */
    int next = 0;     /* whose turn it is, for the rate */
    while (open_now && now - start < limit) {
        bool asking = now < stop && !ended;
        if (!asking && !busy)
            break;
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poll_fd, events, EVENTS, rate > 0 ? 1 : 50);
        now = clock_now();
        asking = now < stop && !ended;
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            ready(c);
            if (asking && rate <= 0 && c->state == IDLE)
                ask(c);
        }
        if (rate > 0 && asking) {
            double due = (now - start) * rate;
            int looked = 0;
            for (; asked < due && looked < connections; looked++, next = (next + 1) % connections)
                if (all[next].state == IDLE) {
                    ask(&all[next]);
                    asked++;
                }
            if (asked + 1 < due)
                total.late++; /* no connection was free: the server is behind the rate */
        }
    }
    double wall = now - start;
    for (int i = 0; i < connections; i++)
        if (all[i].state == CONNECTING || all[i].state == HANDSHAKE || all[i].state == IN_HEAD || all[i].state == IN_BODY)
            fail(&all[i], "not finished in time");
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("{\"requests\": %ld, \"failed\": %ld, \"wrong\": %ld, \"bytes\": %ld, \"wall\": %.4f, \"cpu\": %.4f, "
           "\"rate\": %.1f, \"late\": %ld, \"reconnects\": %ld, \"slowest\": %.4f, \"protocol\": \"%s\", \"error\": \"%s\"}\n",
           total.requests, total.failed, total.wrong, total.bytes, wall, cpu, total.requests / (wall > 0 ? wall : 1),
           total.late, total.reconnects, slowest, protocol, first_error);
    return total.failed || !total.requests;
}
