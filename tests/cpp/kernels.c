/* Calls the kernels with random and hostile arguments; sanitizers find what goes wrong.
 *
 * Every array is an allocation of its own, exactly as long as the kernels are told.
 */

#include "_kernels.c"

#include <stdio.h>
#include <stdlib.h>

static uint64_t state;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int64_t below(int64_t n) { return (int64_t)(next() % (uint64_t)n); }

static void check(int is_right, const char *what)
{
    if (!is_right) {
        fprintf(stderr, "wrong: %s\n", what);
        exit(1);
    }
}

/* Bytes of which many look like records of field 8. */
static uint8_t *bytes(int64_t n)
{
    static const uint8_t LIKELY[] = {64, 64, 64, 0, 1, 5, 127, 128, 129, 255};
    uint8_t *out = malloc((size_t)(n ? n : 1));
    int64_t kind = below(4);
    for (int64_t i = 0; i < n; i++) {
        out[i] = (uint8_t)next();
        if (kind == 1 || (kind == 2 && below(20)))
            out[i] = LIKELY[below(sizeof LIKELY)];
        if (kind == 3 && below(30)) /* long runs of two bytes each */
            out[i] = i % 2 ? (uint8_t)below(128) : 64;
    }
    return out;
}

/* Numbers: small ones, any, or those that overflow. */
static int64_t *numbers(int64_t n, int64_t most)
{
    static const int64_t HOSTILE[] = {-1, INT64_MIN, INT64_MAX, INT64_MAX - 1, 1 << 30};
    int64_t *out = malloc((size_t)(n ? n : 1) * 8);
    int64_t kind = below(4);
    for (int64_t i = 0; i < n; i++) {
        out[i] = below(most + 1);
        if (kind == 1)
            out[i] = (int64_t)(next() >> below(64));
        if (kind == 2 && !below(n))
            out[i] = HOSTILE[below(5)];
    }
    return out;
}

static void runs(void)
{
    int64_t nbytes = below(300), start = nbytes ? below(nbytes) : 0, n = below(150);
    int64_t size = below(2) ? 4 : 8, found[3], room = below(3);
    uint8_t *data = bytes(nbytes), *fixed = malloc((size_t)(n * size + 1));
    int64_t *values = numbers(n, 1), *starts = numbers(n, 1);
    int64_t *places = numbers(room, 1), *before = numbers(room, 1);
    int tag = start < nbytes ? data[start] : 64;
    int64_t count = find_varints(data, start, nbytes, tag, places, before, room, found);
    check(found[2] == (room && nbytes - start >= 2), "marks");
    check(!found[2] || (places[0] == start && !before[0]), "the first mark");
    check(count >= 0 && count <= nbytes / 2 && found[0] >= start && found[0] <= nbytes, "varints");
    uint64_t *wire = (uint64_t *)values;
    int64_t skip = below(count + 1);
    if (count <= n)
        check(read_varints(data, start, found[0], tag, skip, wire, count - skip) == found[0], "end");
    read_varints(data, start, nbytes, tag, below(n + 2) - 1, wire, n);
    count = find_texts(data, start, nbytes, tag, places, before, room, found);
    check(found[1] == (room && count), "marks of texts");
    check(count >= 0 && count <= nbytes / 2 && found[0] >= start && found[0] <= nbytes, "texts");
    if (count <= n)
        check(read_texts(data, start, found[0], starts, values, count) == found[0], "end of texts");
    read_texts(data, start, nbytes, starts, values, n);
    skip = below(count + 1);
    if (count - skip <= n && count > skip) {
        int64_t base = below(9), end = read_ends(data, start, found[0], skip, base, values, count - skip);
        int64_t n_chars = values[count - skip - 1] - base, first = below(n_chars + 1);
        uint8_t *text = malloc((size_t)(n_chars - first + 1));
        check(end == found[0] && n_chars == found[0] - start - 2 * count, "ends of texts");
        check(read_chars(data, start, found[0], first, text, n_chars - first) <= found[0], "chars");
        free(text);
    }
    read_ends(data, start, nbytes, below(n + 2) - 1, 0, values, n);
    read_chars(data, start, nbytes, below(n + 2) - 1, fixed, n);
    count = find_fixed(data, start, nbytes, tag, size);
    check(count >= 0 && start + count * (1 + size) <= nbytes, "fixed");
    read_fixed(data, start, nbytes, size, fixed, n);
    read_fixed(data, start, nbytes, below(10), fixed, 0);
    free(data), free(fixed), free(values), free(starts), free(places), free(before);
}

static void writers(void)
{
    int64_t n = below(100), nbytes = below(400), room = below(1500), tag_nbytes = below(6);
    int64_t size = below(2) ? 4 : 8, *values = numbers(n, below(300)), *lengths = numbers(n, 9);
    uint8_t *tag = bytes(tag_nbytes), *data = bytes(nbytes), *fixed = bytes(n * size);
    uint8_t *out = malloc((size_t)(room + 1));
    out[room] = 77;
    check(write_varints((uint64_t *)values, n, tag, tag_nbytes, out, room) <= room, "varints");
    check(write_texts(lengths, n, data, nbytes, tag, tag_nbytes, out, room) <= room, "texts");
    check(write_fixed(fixed, n, size, tag, tag_nbytes, out, room) <= room, "fixed");
    check(out[room] == 77, "what follows");
    free(values), free(lengths), free(tag), free(data), free(fixed), free(out);
}

static void pieces(void)
{
    int64_t n = below(40), nbytes = below(300), out_nbytes = below(300);
    int64_t *target = numbers(n, out_nbytes), *source = numbers(n, nbytes), *lengths = numbers(n, 20);
    uint8_t *data = bytes(nbytes), *out = bytes(out_nbytes);
    move_pieces(out, out_nbytes, below(2) ? target : NULL, data, nbytes, below(2) ? source : NULL,
                lengths, n);
    free(target), free(source), free(lengths), free(data), free(out);
}

static void pages(void)
{
    int64_t n = below(3000), size = 1 << below(4);
    int kind = (int)below(3);
    uint8_t *values = bytes(n * size), *page = malloc((size_t)(n * size + 1));
    uint8_t *wide = malloc((size_t)(n * 8 + 1)), *back = malloc((size_t)(n * size + 1));
    if (!below(3))
        memset(values, (int)below(2), (size_t)(n * size / 2));
    int64_t n_filled = split_values(values, n, size, kind, page);
    check(size == 1 ? n_filled == REFUSED : 0 <= n_filled && n_filled <= size, "split");
    if (n_filled != REFUSED) {
        int64_t least = n_filled < 2 ? 2 : n_filled, n_given = least + below(size - least + 1);
        uint8_t *given = malloc((size_t)(n * n_given + !n)); /* no byte more */
        memcpy(given, page, (size_t)(n * n_filled));
        memset(given + n * n_filled, 0, (size_t)(n * (n_given - n_filled)));
        check(join_values(given, n, size, n_given, kind, back, size) == n, "join");
        check(!memcmp(values, back, (size_t)(n * size)), "what comes back");
        check(join_values(given, n, size, n_given, kind, wide, 8) == n, "join wider");
        check(join_values(given, n, size, 1, kind, back, size) == REFUSED, "too little");
        check(join_values(given, n, size, size + 1, kind, back, size) == REFUSED, "too much");
        free(given);
    }
    free(values), free(page), free(wide), free(back);
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? atol(argv[1]) : 1000;
    state = argc > 2 ? strtoull(argv[2], NULL, 10) * 2 + 1 : 1;
    for (long i = 0; i < rounds; i++) {
        runs();
        writers();
        pieces();
        pages();
    }
    printf("%ld rounds\n", rounds);
    return 0;
}
