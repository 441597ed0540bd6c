/* tftpload: many TFTP clients at once, one socket each, every received byte compared with the file on disk.
 *
 *   tftpload [options] ADDRESS PORT NAME=LOCALFILE...
 *     -n CLIENTS   clients at once (1)              -r FILES    files each client fetches, one after the other (1)
 *     -b SIZE      blksize to ask for (512: none)   -w BLOCKS   windowsize to ask for (1: none)
 *     -t SECONDS   wait before asking again (1)     -T SECONDS  limit for the whole run (60)
 *     -a           one source address in 127/8 for each client
 * Client i fetches file i modulo the number of files. Prints one JSON object. Exit 0: everything arrived exactly;
 * 1: a client failed or a byte was wrong; 2: usage or system error.
 *
 * All requests leave in one burst. `useful` counts the packets a perfect network would have carried, both ways:
 * the same figure for every server that grants the same options, however often packets had to be repeated.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
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

enum { RRQ = 1, DATA = 3, ACK = 4, ERROR = 5, OACK = 6 };
enum { BATCH = 64, EVENTS = 256, DESCRIPTORS = 20000, ROOM = 65536 };

struct file {
    const char *name, *bytes;
    size_t size;
    char request[600];
    size_t request_size;
};

struct client {
    int fd, number, left; /* left: files still to fetch, this one included */
    struct file *file;
    unsigned blksize, window;
    uint32_t block; /* last block received in order; 32 bits, the wire has the low 16 */
    size_t offset;
    unsigned in_window;
    bool found, asked_again, acked_again, gap; /* found: the server's port is known */
    uint16_t peer;                             /* that port, network order */
    double deadline, finished;
};

static struct {
    long done, failed, wrong, bytes, in, out, useful, clients_again, requests_again, acks_clients, acks_again,
        duplicates, window, blksize;
} total;

static char first_error[300];
static struct sockaddr_in server;
static int poll_fd, active;
static double now, patience = 1.0;
static char room[BATCH][ROOM];

static double clock_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) {
    fprintf(stderr, "tftpload: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void finish(struct client *c, bool good) {
    close(c->fd);
    c->fd = -1;
    c->finished = now;
    active--;
    if (good)
        total.done++;
    else
        total.failed++;
}

__attribute__((format(printf, 2, 3))) static void fail(struct client *c, const char *format, ...) {
    if (!first_error[0]) {
        va_list arguments;
        va_start(arguments, format);
        int used = snprintf(first_error, sizeof first_error, "client %d, %.80s: ", c->number, c->file->name);
        vsnprintf(first_error + used, sizeof first_error - used, format, arguments);
        va_end(arguments);
        for (char *p = first_error; *p; p++) /* it goes into JSON as it is */
            if (*p == '"' || *p == '\\' || (unsigned char)*p < 32 || (unsigned char)*p > 126)
                *p = '?';
    }
    c->left = 0;
    finish(c, false);
}

static void ask(struct client *c) {
    total.out++;
    sendto(c->fd, c->file->request, c->file->request_size, 0, (struct sockaddr *)&server, sizeof server);
    c->deadline = now + patience;
}

static void acknowledge(struct client *c) {
    unsigned char packet[4] = {0, ACK, (unsigned char)(c->block >> 8), (unsigned char)c->block};
    total.out++;
    send(c->fd, packet, sizeof packet, MSG_DONTWAIT); /* a lost or refused one is repeated by the timer */
    c->in_window = 0;
    c->deadline = now + patience;
}

static void open_socket(struct client *c, bool own_address) {
    c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    struct sockaddr_in here = {.sin_family = AF_INET};
    if (own_address) {
        here.sin_addr.s_addr = htonl(0x7F100000u + (c->number / 250) * 256 + c->number % 250 + 1);
        if (bind(c->fd, (struct sockaddr *)&here, sizeof here) < 0)
            die("bind");
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll_ctl");
    c->blksize = 512;
    c->window = 1;
    c->block = 0;
    c->offset = 0;
    c->in_window = 0;
    c->found = c->gap = false;
    active++;
}

/* The first answer names the server's port; a connected socket hears nobody else from then on. */
static void connect_to(struct client *c, const struct sockaddr_in *from) {
    c->found = true;
    c->peer = from->sin_port;
    if (connect(c->fd, (const struct sockaddr *)from, sizeof *from) < 0)
        die("connect");
}

static void options(struct client *c, const char *p, const char *end) {
    while (p < end) {
        const char *value = memchr(p, 0, end - p);
        if (!value || ++value >= end || !memchr(value, 0, end - value))
            return;
        if (!strcasecmp(p, "blksize"))
            c->blksize = atoi(value);
        if (!strcasecmp(p, "windowsize"))
            c->window = atoi(value);
        p = value + strlen(value) + 1;
    }
}

static void receive(struct client *c, const char *packet, size_t size) {
    if (size < 4)
        return fail(c, "a packet of %zu bytes", size);
    unsigned opcode = (unsigned char)packet[0] << 8 | (unsigned char)packet[1];
    uint16_t block = (uint16_t)((unsigned char)packet[2] << 8 | (unsigned char)packet[3]);
    if (opcode == ERROR)
        return fail(c, "error %u: %.*s", block, (int)(size - 4), packet + 4);
    if (opcode == OACK) {
        if (c->block) {
            total.duplicates++;
            return;
        }
        options(c, packet + 2, packet + size);
        if (c->blksize < 8 || c->blksize > ROOM - 4 || c->window < 1)
            return fail(c, "blksize %u, windowsize %u were granted", c->blksize, c->window);
        total.window = c->window;
        total.blksize = c->blksize;
        total.useful += 2;
        return acknowledge(c);
    }
    if (opcode != DATA)
        return fail(c, "opcode %u", opcode);
    if (block != (uint16_t)(c->block + 1)) {
        uint16_t ahead = (uint16_t)(block - c->block);
        if (ahead == 0 || ahead > 32768) {
            total.duplicates++; /* not acknowledged again: the timer does that (the sorcerer's apprentice) */
        } else if (!c->gap) {
            c->gap = true;
            total.acks_again++;
            acknowledge(c); /* RFC 7440: the window starts over behind the last block in order */
        }
        return;
    }
    const char *bytes = packet + 4;
    size -= 4;
    size_t rest = c->file->size - c->offset, want = rest < c->blksize ? rest : c->blksize;
    if (size != want) {
        total.wrong++;
        return fail(c, "block %u has %zu bytes instead of %zu", c->block + 1, size, want);
    }
    if (memcmp(bytes, c->file->bytes + c->offset, size)) {
        total.wrong++;
        return fail(c, "a wrong byte in block %u", c->block + 1);
    }
    c->block++;
    c->offset += size;
    c->gap = false;
    total.bytes += size;
    total.useful++;
    c->deadline = now + patience;
    bool last = size < c->blksize;
    if (++c->in_window >= c->window || last) {
        total.useful++;
        acknowledge(c);
    }
    if (last)
        finish(c, true);
}

static void readable(struct client *c) {
    static struct mmsghdr vector[BATCH];
    static struct iovec where[BATCH];
    if (!c->found || c->asked_again) { /* only now can a packet come from another port */
        struct sockaddr_in from;
        socklen_t length = sizeof from;
        ssize_t size = recvfrom(c->fd, room[0], ROOM, 0, (struct sockaddr *)&from, &length);
        if (size < 0)
            return;
        total.in++;
        if (!c->found) {
            connect_to(c, &from);
            total.useful++; /* the request */
        } else if (from.sin_port != c->peer) {
            return;
        }
        return receive(c, room[0], size);
    }
    if (c->window == 1) { /* lock-step: there is never a second packet to fetch */
        ssize_t size = recv(c->fd, room[0], ROOM, 0);
        if (size < 0)
            return;
        total.in++;
        return receive(c, room[0], size);
    }
    int count = c->window < BATCH ? c->window : BATCH;
    for (int i = 0; i < count; i++) {
        where[i] = (struct iovec){room[i], ROOM};
        vector[i].msg_hdr = (struct msghdr){.msg_iov = &where[i], .msg_iovlen = 1};
    }
    int got = recvmmsg(c->fd, vector, count, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got && c->fd >= 0; i++) {
        total.in++;
        receive(c, room[i], vector[i].msg_len);
    }
}

static void waited(struct client *c) {
    if (c->found) {
        total.acks_clients += !c->acked_again;
        c->acked_again = true;
        total.acks_again++;
        acknowledge(c);
    } else {
        total.clients_again += !c->asked_again;
        c->asked_again = true;
        total.requests_again++;
        ask(c);
    }
}

static void load(struct file *file, char *argument, int blksize, int window) {
    char *path = strchr(argument, '=');
    if (!path) {
        fprintf(stderr, "tftpload: write NAME=LOCALFILE instead of %s\n", argument);
        exit(2);
    }
    *path++ = 0;
    file->name = argument;
    int fd = open(path, O_RDONLY);
    struct stat facts;
    if (fd < 0 || fstat(fd, &facts) < 0)
        die(path);
    file->size = facts.st_size;
    file->bytes = file->size ? mmap(NULL, file->size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0) : "";
    if (file->bytes == MAP_FAILED)
        die(path);
    close(fd);
    char *p = file->request;
    *p++ = 0;
    *p++ = RRQ;
    p += sprintf(p, "%.400s", file->name) + 1;
    p += sprintf(p, "octet") + 1;
    if (blksize != 512)
        p += sprintf(p, "blksize%c%d", 0, blksize) + 1;
    if (window != 1)
        p += sprintf(p, "windowsize%c%d", 0, window) + 1;
    file->request_size = p - file->request;
}

static int by_value(const void *a, const void *b) {
    double d = *(const double *)a - *(const double *)b;
    return d < 0 ? -1 : d > 0;
}

int main(int argc, char **argv) {
    int clients = 1, repeat = 1, blksize = 512, window = 1, option;
    double limit = 60;
    bool own_address = false;
    while ((option = getopt(argc, argv, "n:r:b:w:t:T:a")) != -1)
        switch (option) {
        case 'n': clients = atoi(optarg); break;
        case 'r': repeat = atoi(optarg); break;
        case 'b': blksize = atoi(optarg); break;
        case 'w': window = atoi(optarg); break;
        case 't': patience = atof(optarg); break;
        case 'T': limit = atof(optarg); break;
        case 'a': own_address = true; break;
        default: return 2;
        }
    int files = argc - optind - 2;
    if (files < 1 || clients < 1 || repeat < 1) {
        fprintf(stderr, "usage: tftpload [-n clients] [-r files] [-b blksize] [-w windowsize] [-t wait] [-T limit] [-a] "
                        "ADDRESS PORT NAME=LOCALFILE...\n");
        return 2;
    }
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[optind + 1]))};
    if (inet_pton(AF_INET, argv[optind], &server.sin_addr) != 1) {
        fprintf(stderr, "tftpload: %s is not an IPv4 address\n", argv[optind]);
        return 2;
    }
    struct file *list = calloc(files, sizeof *list);
    struct client *all = calloc(clients, sizeof *all);
    double *times = calloc(clients, sizeof *times);
    if (!list || !all || !times)
        die("memory");
    for (int i = 0; i < files; i++)
        load(&list[i], argv[optind + 2 + i], blksize, window);

    struct rlimit descriptors;
    getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max < DESCRIPTORS ? descriptors.rlim_max : DESCRIPTORS;
    setrlimit(RLIMIT_NOFILE, &descriptors);
    if ((poll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
        die("epoll_create1");
    for (int i = 0; i < clients; i++) {
        all[i] = (struct client){.number = i, .left = repeat, .file = &list[i % files]};
        open_socket(&all[i], own_address);
    }

    double start = now = clock_now(), looked = start;
    for (int i = 0; i < clients; i++)
        ask(&all[i]);
    while (active && now - start < limit) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poll_fd, events, EVENTS, 50);
        now = clock_now();
        for (int i = 0; i < count; i++) {
            struct client *c = events[i].data.ptr;
            readable(c);
            if (c->fd < 0 && --c->left > 0) {
                open_socket(c, own_address);
                ask(c);
            }
        }
        if (now - looked > 0.05) {
            looked = now;
            for (int i = 0; i < clients; i++)
                if (all[i].fd >= 0 && now >= all[i].deadline)
                    waited(&all[i]);
        }
    }
    double wall = now - start;
    for (int i = 0; i < clients; i++) {
        if (all[i].fd >= 0)
            fail(&all[i], "not finished in %.0f s (%zu of %zu bytes)", limit, all[i].offset, all[i].file->size);
        times[i] = all[i].finished - start;
    }
    qsort(times, clients, sizeof *times, by_value);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf("{\"files\": %ld, \"failed\": %ld, \"wrong\": %ld, \"bytes\": %ld, \"wall\": %.4f, \"cpu\": %.4f, "
           "\"packets_in\": %ld, \"packets_out\": %ld, \"useful\": %ld, \"clients_again\": %ld, "
           "\"requests_again\": %ld, \"acks_again\": %ld, \"acks_again_clients\": %ld, \"duplicates\": %ld, "
           "\"blksize\": %ld, \"window\": %ld, \"p50\": %.4f, \"p99\": %.4f, \"error\": \"%s\"}\n",
           total.done, total.failed, total.wrong, total.bytes, wall, cpu, total.in, total.out, total.useful,
           total.clients_again, total.requests_again, total.acks_again, total.acks_clients, total.duplicates,
           total.blksize ? total.blksize : 512, total.window ? total.window : 1, times[clients / 2],
           times[clients * 99 / 100], first_error);
    return total.failed || total.done != (long)clients * repeat;
}
