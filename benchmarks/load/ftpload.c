/* ftpload: FTP clients that store one file in each session, every stored file compared on the server's disk.
 *
 *   ftpload [options] ADDRESS PORT FOLDER
 *     -n CLIENTS   clients at once (20)              -r SESSIONS  sessions of each client, one after the other (1)
 *     -k OCTETS    size of each file (20480)         -p PREFIX    put before each name in STOR ("")
 *     -e NUMBER    extension of the first client; the next one has the next (20000)
 *     -S PORT      answer SNMP for every client's address on this port: its extension, a 4621SW
 *     -D SECONDS   how late those answers come (0)   -T SECONDS   limit for the whole run (60)
 * A session is USER, PASS, TYPE I, EPSV, STOR <extension>_4620data.txt, QUIT, each from the client's own address in
 * 127/8. Every file has another content in every session; once the server has acknowledged it, FOLDER/<name> must have
 * it. A client that hears no greeting in two seconds connects again: a listener whose queue is full forgets connections
 * that the client takes for open. Prints one JSON object. Exit 0: everything was stored exactly; 1: a session failed or a byte was wrong; 2: usage
 * or system error.
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
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE = 2, EVENTS = 256, DESCRIPTORS = 20000, LINE = 1024, PACKET = 1500, LATE = 4096 };
enum state { GREETING, USER, PASS, TYPE, EPSV, STOR, QUIT, STATES };

static const struct { const char *name, *codes; } STATE[STATES] = {
    {"the greeting", "220"}, {"USER", "331 230"}, {"PASS", "230"}, {"TYPE", "200"}, {"EPSV", "229"},
    {"STOR", "226 250"}, {"QUIT", "221"},
};

struct client;
struct end { struct client *client; int fd; }; /* one connection, as epoll gives it back */

struct client {
    struct end control, data;
    int number, left, round;
    enum state state;
    bool may_send, sent;
    char line[LINE], *content;
    size_t line_size, offset;
    double began, connected;
};

struct late { double due; size_t size; char packet[PACKET]; struct sockaddr_in to; struct in_addr from; };

static struct { long done, failed, wrong, bytes, asked, again; } total;
static char first_error[300];
static struct sockaddr_in server;
static const char *folder, *prefix = "";
static int poll_fd, active, first_extension = 20000, agent = -1;
static size_t size = 20480;
static double now, delay, *times;
static uint64_t seed;
static struct late *waiting;
static unsigned oldest, newest; /* of the answers that wait; all wait equally long */

static double clock_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) {
    fprintf(stderr, "ftpload: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void end(struct end *e) {
    if (e->fd >= 0)
        close(e->fd);
    e->fd = -1;
}

static struct in_addr address_of(int number) {
    return (struct in_addr){htonl(0x7F100000u + (number / 250) * 256 + number % 250 + 1)};
}

static int number_of(struct in_addr address) {
    uint32_t offset = ntohl(address.s_addr) - 0x7F100000u;
    return offset / 256 * 250 + offset % 256 - 1;
}

__attribute__((format(printf, 2, 3))) static void fail(struct client *c, const char *format, ...) {
    if (!first_error[0]) {
        va_list arguments;
        va_start(arguments, format);
        int used = snprintf(first_error, sizeof first_error, "client %d: ", c->number);
        vsnprintf(first_error + used, sizeof first_error - used, format, arguments);
        va_end(arguments);
        for (char *p = first_error; *p; p++) /* it goes into JSON as it is */
            if (*p == '"' || *p == '\\' || (unsigned char)*p < 32 || (unsigned char)*p > 126)
                *p = '?';
    }
    total.failed++;
    end(&c->control);
    end(&c->data);
    c->left = 0;
    active--;
}

static void connect_to(struct client *c, struct end *e, uint16_t port) {
    e->client = c;
    e->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (e->fd < 0)
        die("socket");
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = address_of(c->number)}, there = server;
    there.sin_port = port;
    if (bind(e->fd, (struct sockaddr *)&here, sizeof here) < 0)
        die("bind");
    if (connect(e->fd, (struct sockaddr *)&there, sizeof there) < 0 && errno != EINPROGRESS)
        die("connect");
    struct epoll_event event = {.events = e == &c->data ? EPOLLOUT : EPOLLIN, .data.ptr = e};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, e->fd, &event) < 0)
        die("epoll_ctl");
}

/* Lines as a phone writes them in front, then noise: another content for each client, session and run. */
static void fill(struct client *c) {
    int used = snprintf(c->content, size, "\nABKNAME001=%d\nABKNUMBER001=%d\n", c->number, c->round);
    uint64_t x = seed ^ ((uint64_t)c->number << 32 | (uint64_t)c->round << 1 | 1);
    for (size_t i = used; i < size; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        c->content[i] = (char)x;
    }
}

static void begin(struct client *c) {
    c->round++;
    c->state = GREETING;
    c->may_send = c->sent = false;
    c->line_size = c->offset = 0;
    c->began = c->connected = now;
    fill(c);
    connect_to(c, &c->control, server.sin_port);
}

static void say(struct client *c, enum state next, const char *format, ...) {
    char line[LINE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    c->state = next;
    if (send(c->control.fd, line, length, MSG_NOSIGNAL) != length)
        fail(c, "%s could not be sent: %s", STATE[next].name, strerror(errno));
}

/* What lies on the server's disk now is what it has acknowledged. */
static bool is_there(struct client *c) {
    static char *found;
    char path[4096];
    snprintf(path, sizeof path, "%s/%d_4620data.txt", folder, first_extension + c->number);
    if (!found && !(found = malloc(size + 1)))
        die("memory");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, found, size + 1);
    if (fd >= 0)
        close(fd);
    return got == (ssize_t)size && !memcmp(found, c->content, size);
}

static void write_data(struct client *c) {
    while (c->offset < size) {
        ssize_t put = send(c->data.fd, c->content + c->offset, size - c->offset, MSG_NOSIGNAL);
        if (put < 0 && errno == EAGAIN)
            return;
        if (put < 0)
            return fail(c, "the data connection: %s", strerror(errno));
        c->offset += put;
    }
    c->sent = true;
    end(&c->data);
}

static void replied(struct client *c, const char *line) {
    if (c->state == STOR && (!strncmp(line, "150", 3) || !strncmp(line, "125", 3))) {
        c->may_send = true;
        struct epoll_event event = {.events = EPOLLOUT, .data.ptr = &c->data};
        if (epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->data.fd, &event) < 0)
            die("epoll_ctl");
        return;
    }
    char code[4] = {line[0], line[1], line[2], 0};
    if (!strstr(STATE[c->state].codes, code))
        return fail(c, "%s was answered with: %.100s", STATE[c->state].name, line);
    switch (c->state) {
    case GREETING: say(c, USER, "USER anonymous\r\n"); break;
    case USER: say(c, PASS, "PASS phone@\r\n"); break;
    case PASS: say(c, TYPE, "TYPE I\r\n"); break;
    case TYPE: say(c, EPSV, "EPSV\r\n"); break;
    case EPSV: {
        const char *port = strstr(line, "(|||");
        if (!port)
            return fail(c, "no port in: %.100s", line);
        connect_to(c, &c->data, htons(atoi(port + 4)));
        say(c, STOR, "STOR %s%d_4620data.txt\r\n", prefix, first_extension + c->number);
        break;
    }
    case STOR:
        if (!c->sent)
            return fail(c, "%.3s came before the last octet was sent", line);
        if (!is_there(c)) {
            total.wrong++;
            return fail(c, "session %d: a wrong byte in what was stored", c->round);
        }
        total.bytes += size;
        say(c, QUIT, "QUIT\r\n");
        break;
    case QUIT:
        end(&c->control);
        times[total.done++] = now - c->began;
        if (--c->left > 0)
            begin(c);
        else
            active--;
        break;
    case STATES: break;
    }
}

static void readable(struct client *c) {
    ssize_t got = recv(c->control.fd, c->line + c->line_size, LINE - 1 - c->line_size, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0)
        return fail(c, "closed after %s: %s", STATE[c->state].name, got ? strerror(errno) : "no more replies");
    c->line_size += got;
    c->line[c->line_size] = 0;
    int session = c->round;
    for (char *eol; c->control.fd >= 0 && c->round == session && (eol = strchr(c->line, '\n'));) {
        char line[LINE];
        size_t length = eol - c->line + 1;
        memcpy(line, c->line, length);
        line[length - 1 - (length > 1 && line[length - 2] == '\r')] = 0;
        memmove(c->line, eol + 1, c->line_size - length + 1);
        c->line_size -= length;
        if (strlen(line) < 4 || line[3] == ' ') /* "220-" goes on in the next line */
            replied(c, line);
    }
    if (c->line_size >= LINE - 1)
        fail(c, "a line without end");
}

static void writable(struct client *c, uint32_t events) {
    if (events & EPOLLERR)
        return fail(c, "the data connection was refused or broken");
    if (c->may_send)
        return write_data(c);
    struct epoll_event event = {.events = 0, .data.ptr = &c->data}; /* connected; now the 150 must come */
    if (epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->data.fd, &event) < 0)
        die("epoll_ctl");
}

/* SNMP: just enough of BER for GET. Each function gives the first octet behind what it read or wrote, NULL: none. */

static const unsigned char SYS_OBJECT[] = {0x2b, 6, 1, 2, 1, 1, 2, 0},
                           EXTENSION[] = {0x2b, 6, 1, 4, 1, 0xb5, 0x69, 2, 69, 1, 4, 9, 0},
                           MODEL[] = {0x2b, 6, 1, 4, 1, 0xb5, 0x69, 2, 69, 1, 1, 2, 0},
                           OBJECT[] = {0x2b, 6, 1, 4, 1, 0xb5, 0x69, 1, 69, 1, 1};

static const unsigned char *take(const unsigned char *p, const unsigned char *stop, int tag, size_t *length) {
    if (stop - p < 2 || *p++ != tag)
        return NULL;
    *length = *p++;
    if (*length & 0x80)
        for (int count = *length & 0x7f, i = *length = 0; i < count; i++) {
            if (count > 2 || p == stop)
                return NULL;
            *length = *length << 8 | *p++;
        }
    return *length <= (size_t)(stop - p) ? p : NULL;
}

static unsigned char *put(unsigned char *p, int tag, const void *bytes, size_t length) {
    *p++ = tag;
    if (length > 127) {
        *p++ = 0x82;
        *p++ = length >> 8;
    }
    *p++ = length;
    memmove(p, bytes, length);
    return p + length;
}

static size_t answer(const unsigned char *p, size_t length, int number, unsigned char *out) {
    const unsigned char *stop = p + length, *version, *community, *id;
    size_t inner, community_size, id_size, error_size;
    if (!(p = take(p, stop, 0x30, &inner)) || !(version = p = take(p, stop, 2, &inner)))
        return 0;
    if (!(community = take(p + inner, stop, 4, &community_size)))
        return 0;
    if (!(p = take(community + community_size, stop, 0xa0, &inner)) || !(id = take(p, stop, 2, &id_size)))
        return 0;
    if (!(p = take(id + id_size, stop, 2, &error_size)) || !(p = take(p + error_size, stop, 2, &error_size)))
        return 0;
    if (!(p = take(p + error_size, stop, 0x30, &inner)))
        return 0;
    char extension[16];
    snprintf(extension, sizeof extension, "%d", first_extension + number);
    unsigned char list[PACKET], one[PACKET], *at = list;
    while (p < stop) {
        const unsigned char *bind = take(p, stop, 0x30, &inner), *name;
        size_t name_size;
        if (!bind || !(name = take(bind, stop, 6, &name_size)) || at - list + name_size > PACKET / 3)
            return 0;
        p = bind + inner;
        unsigned char *pair = put(one, 6, name, name_size);
        if (name_size == sizeof SYS_OBJECT && !memcmp(name, SYS_OBJECT, name_size))
            pair = put(pair, 6, OBJECT, sizeof OBJECT);
        else if (name_size == sizeof EXTENSION && !memcmp(name, EXTENSION, name_size))
            pair = put(pair, 4, extension, strlen(extension));
        else if (name_size == sizeof MODEL && !memcmp(name, MODEL, name_size))
            pair = put(pair, 4, "4621SW", 6);
        else
            pair = put(pair, 0x81, "", 0); /* noSuchInstance */
        at = put(at, 0x30, one, pair - one);
    }
    unsigned char pdu[PACKET], message[PACKET], *end = put(pdu, 2, id, id_size);
    end = put(put(end, 2, "", 1), 2, "", 1); /* no error: two integers 0 */
    end = put(end, 0x30, list, at - list);
    unsigned char *last = put(put(message, 2, version, 1), 4, community, community_size);
    last = put(last, 0xa2, pdu, end - pdu);
    return put(out, 0x30, message, last - message) - out;
}

static void send_answer(const struct late *l) {
    struct iovec where = {(void *)l->packet, l->size};
    char control[CMSG_SPACE(sizeof(struct in_pktinfo))] = {0};
    struct msghdr message = {(void *)&l->to, sizeof l->to, &where, 1, control, sizeof control, 0};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){CMSG_LEN(sizeof(struct in_pktinfo)), IPPROTO_IP, IP_PKTINFO};
    memcpy(CMSG_DATA(head), &(struct in_pktinfo){.ipi_spec_dst = l->from}, sizeof(struct in_pktinfo));
    sendmsg(agent, &message, 0);
}

/* The phone's agent: which phone is meant says the address that was asked; the answer leaves from there. */
static void asked(void) {
    for (;;) {
        unsigned char packet[PACKET];
        char control[CMSG_SPACE(sizeof(struct in_pktinfo))];
        struct late *l = &waiting[newest % LATE];
        struct iovec where = {packet, sizeof packet};
        struct msghdr message = {&l->to, sizeof l->to, &where, 1, control, sizeof control, 0};
        ssize_t got = recvmsg(agent, &message, MSG_DONTWAIT);
        if (got < 0)
            return;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        if (!head || head->cmsg_type != IP_PKTINFO)
            continue;
        l->from = ((struct in_pktinfo *)CMSG_DATA(head))->ipi_addr;
        total.asked++;
        l->size = answer(packet, got, number_of(l->from), (unsigned char *)l->packet);
        l->due = now + delay;
        if (!l->size || newest - oldest >= LATE - 1)
            continue;
        if (delay > 0)
            newest++;
        else
            send_answer(l);
    }
}

static void open_agent(int port) {
    int on = 1, room = 4 << 20;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port)};
    agent = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    setsockopt(agent, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (agent < 0 || setsockopt(agent, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) < 0 ||
        bind(agent, (struct sockaddr *)&here, sizeof here) < 0)
        die("the SNMP port");
    struct epoll_event event = {.events = EPOLLIN};
    if (!(waiting = calloc(LATE, sizeof *waiting)) || epoll_ctl(poll_fd, EPOLL_CTL_ADD, agent, &event) < 0)
        die("the SNMP port");
}

static int by_value(const void *a, const void *b) {
    double d = *(const double *)a - *(const double *)b;
    return d < 0 ? -1 : d > 0;
}

int main(int argc, char **argv) {
    int clients = 20, sessions = 1, snmp = 0, option;
    double limit = 60;
    while ((option = getopt(argc, argv, "n:r:k:p:e:S:D:T:")) != -1)
        switch (option) {
        case 'n': clients = atoi(optarg); break;
        case 'r': sessions = atoi(optarg); break;
        case 'k': size = atol(optarg); break;
        case 'p': prefix = optarg; break;
        case 'e': first_extension = atoi(optarg); break;
        case 'S': snmp = atoi(optarg); break;
        case 'D': delay = atof(optarg); break;
        case 'T': limit = atof(optarg); break;
        default: return 2;
        }
    if (argc - optind != 3 || clients < 1 || clients > 50000 || sessions < 1 || size < 1) {
        fprintf(stderr, "usage: ftpload [-n clients] [-r sessions] [-k octets] [-p prefix] [-e extension] [-S port] "
                        "[-D seconds] [-T limit] ADDRESS PORT FOLDER\n");
        return 2;
    }
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[optind + 1]))};
    if (inet_pton(AF_INET, argv[optind], &server.sin_addr) != 1) {
        fprintf(stderr, "ftpload: %s is not an IPv4 address\n", argv[optind]);
        return 2;
    }
    folder = argv[optind + 2];
    struct rlimit descriptors;
    getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max < DESCRIPTORS ? descriptors.rlim_max : DESCRIPTORS;
    setrlimit(RLIMIT_NOFILE, &descriptors);
    struct client *all = calloc(clients, sizeof *all);
    if (!(times = calloc((size_t)clients * sessions, sizeof *times)) || !all)
        die("memory");
    if ((poll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0)
        die("epoll_create1");
    if (snmp)
        open_agent(snmp);

    double start = now = clock_now(), looked = start;
    seed = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
    for (int i = 0; i < clients; i++) {
        all[i].number = i;
        all[i].left = sessions;
        all[i].control.fd = all[i].data.fd = -1;
        if (!(all[i].content = malloc(size + 1)))
            die("memory");
        active++;
        begin(&all[i]);
    }
    while (active && now - start < limit) {
        struct epoll_event events[EVENTS];
        double rest = oldest != newest ? waiting[oldest % LATE].due - now : 0.05;
        int count = epoll_wait(poll_fd, events, EVENTS, rest < 0 ? 0 : rest > 0.05 ? 50 : (int)(rest * 1000) + 1);
        now = clock_now();
        for (int i = 0; i < count; i++) {
            struct end *e = events[i].data.ptr;
            if (!e)
                asked();
            else if (e->fd >= 0 && e == &e->client->control)
                readable(e->client);
            else if (e->fd >= 0)
                writable(e->client, events[i].events);
        }
        for (; oldest != newest && waiting[oldest % LATE].due <= now; oldest++)
            send_answer(&waiting[oldest % LATE]);
        if (now - looked < 0.05)
            continue;
        looked = now;
        for (int i = 0; i < clients; i++)
            if (all[i].left > 0 && all[i].state == GREETING && now - all[i].connected > PATIENCE) {
                total.again++;
                end(&all[i].control);
                all[i].connected = now;
                connect_to(&all[i], &all[i].control, server.sin_port);
            }
    }
    double wall = now - start;
    for (int i = 0; i < clients; i++)
        if (all[i].left > 0)
            fail(&all[i], "session %d not finished in %.0f s, at %s", all[i].round, limit, STATE[all[i].state].name);
    qsort(times, total.done, sizeof *times, by_value);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    long last = total.done ? total.done - 1 : 0;
    printf("{\"sessions\": %ld, \"failed\": %ld, \"wrong\": %ld, \"bytes\": %ld, \"wall\": %.4f, \"cpu\": %.4f, "
           "\"asked\": %ld, \"again\": %ld, \"p50\": %.4f, \"p99\": %.4f, \"slowest\": %.4f, \"error\": \"%s\"}\n",
           total.done, total.failed, total.wrong, total.bytes, wall, cpu, total.asked, total.again, times[last / 2],
           times[last * 99 / 100], times[last], first_error);
    return total.failed || total.done != (long)clients * sessions;
}
