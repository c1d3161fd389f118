/* The inner loops of reading and writing many numbers, in C: _kernels.py loads and calls them.
 *
 * Each function has a twin made of NumPy, which says what it does, but those that read a part of a
 * run: `_records` says what for. It is given the length of every array, looks before it reads or
 * writes, and returns -1 where it would pass an end: the bytes come from strangers. It keeps nothing,
 * and calls nothing but memcpy, memset and memcmp. Numbers are those of a little-endian machine, and
 * need not be aligned. C99.
 */

#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "NumPy does it on big-endian machines"
#endif

#if defined(_WIN32)
#define KERNEL __declspec(dllexport)
#else
#define KERNEL __attribute__((visibility("default")))
#endif

/* What is compiled twice, for processors of the last ten years and for any: it takes two thirds of
 * the time with vectors of 32 bytes. The loader takes one of them. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && __GNUC__ > 5 && !defined(__clang__)
#define VECTORS __attribute__((target_clones("avx2", "default")))
#define PART __attribute__((always_inline)) static inline
#else
#define VECTORS
#define PART static inline
#endif

#define REFUSED (-1)

enum { LONGEST = 10 };    /* bytes of a varint */
enum { STEP = 1 << 13 };  /* records between two marks */
enum { BLOCK = 1 << 10 }; /* values that are split at a time */
enum { WORD = 8, SHORT = 16 };

/* As _kernels.py has it: to be raised with every change of a function's arguments or result. */
KERNEL int kernels_version(void) { return 4; }

static uint64_t word_at(const uint8_t *data)
{
    uint64_t word;
    memcpy(&word, data, WORD);
    return word;
}

static void put_word(uint8_t *out, uint64_t word) { memcpy(out, &word, WORD); }

static int is_inside(int64_t start, int64_t nbytes, int64_t size)
{
    return nbytes >= 0 && start >= 0 && start <= size && nbytes <= size - start;
}

/* Copy a piece, if there is `room` behind both its begins. */
static void copy_piece(uint8_t *out, const uint8_t *data, int64_t nbytes, int64_t room)
{
    if (nbytes <= SHORT && room >= SHORT) /* what is too much is written over by the next one */
        memcpy(out, data, SHORT);
    else
        memcpy(out, data, (size_t)nbytes);
}

/* --- varints ---------------------------------------------------------------------------------- */

/* Decode one varint; return where it ends. */
static int64_t read_varint(const uint8_t *data, int64_t at, int64_t stop, uint64_t *value)
{
    int64_t end = stop - at > LONGEST ? at + LONGEST : stop;
    uint64_t found = 0;
    for (unsigned shift = 0; at < end; shift += 7) {
        uint8_t byte = data[at++];
        found |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *value = found;
            return at;
        }
    }
    return REFUSED;
}

/* Write one where there is room for ten bytes; return how many it takes. */
static int64_t write_varint(uint8_t *out, uint64_t value)
{
    int64_t n = 0;
    while (value >= 0x80) {
        out[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[n++] = (uint8_t)value;
    return n;
}

/* Short records: behind tags of one byte, values of one or two. A word holds four with one each, or
 * two with two each, the last of which is not 0. */
#define FOUR_MASK UINT64_C(0x80FF80FF80FF80FF)
#define FOUR_TAGS UINT64_C(0x0001000100010001)
#define TWO_MASK UINT64_C(0x00008080FF8080FF)
#define TWO_TAGS UINT64_C(0x0000000001000001)
#define TWO_MORE UINT64_C(0x0000008000008000)
enum { FOUR_NBYTES = 8, TWO_NBYTES = 6, MOST_NBYTES = 3 };
enum { PAIRS = 32 }; /* records that are passed over in pairs until those in one word are tried again */
enum { ONE_BYTE = 1 << 7, TWO_BYTES = 1 << 14 }; /* values that are too large for so many */

static int is_four(uint64_t word, uint64_t tag) { return (word & FOUR_MASK) == tag * FOUR_TAGS; }

static int is_two(uint64_t word, uint64_t tag)
{
    int are_minimal = (word >> 16 & 0x7F) && (word >> 40 & 0x7F);
    return (word & TWO_MASK) == (tag * TWO_TAGS | TWO_MORE) && are_minimal;
}

/* Write a short record where there is room for a word; return how long it is. */
static int64_t write_short(uint8_t *out, uint64_t tag, uint64_t value)
{
    uint64_t more = value >= ONE_BYTE;
    put_word(out, tag | (value & 0x7F) << 8 | more << 15 | value >> 7 << 16);
    return (int64_t)(2 + more);
}

/* Return two, whose values have two bytes each. */
static uint64_t two_of(uint64_t tag, uint64_t a, uint64_t b)
{
    uint64_t first = (a & 0x7F) << 8 | a >> 7 << 16, second = (b & 0x7F) << 32 | b >> 7 << 40;
    return tag * TWO_TAGS | TWO_MORE | first | second;
}

/* Pass over short records of any lengths, two at a time: no branch depends on how long one is, which
 * processors can't guess. Give their values, if somebody wants them; return where the last one ends. */
static int64_t pass_pairs(const uint8_t *data, int64_t at, int64_t stop, uint64_t tag, int64_t most,
                          uint64_t *values, int64_t *n_passed)
{
    const uint64_t top = ONE_BYTE - 1;
    int64_t n = 0;
    while (n + 2 <= most && stop - at >= WORD) {
        uint64_t first = word_at(data + at), more = first >> 15 & 1;
        uint64_t second = first >> (16 + 8 * more), more_yet = second >> 15 & 1;
        uint64_t high = first >> 16 & 0xFF, high_yet = second >> 16 & 0xFF;
        uint64_t other_tags = ((first ^ tag) | (second ^ tag)) & 0xFF;
        uint64_t not_short = (more & (high - 1 >= top)) | (more_yet & (high_yet - 1 >= top));
        if (other_tags | not_short)
            break;
        if (values) {
            values[n] = (first >> 8 & 0x7F) | (high & (0 - more)) << 7;
            values[n + 1] = (second >> 8 & 0x7F) | (high_yet & (0 - more_yet)) << 7;
        }
        at += (int64_t)(4 + more + more_yet);
        n += 2;
    }
    *n_passed = n;
    return at;
}

/* --- runs: records of one repeated field, end to end, behind tags of one byte ------------------- */

/* Places in a run, for those who want a part of it: of some records where they begin, and how many
 * are before each. */
typedef struct {
    int64_t *places, *before, n, room;
} marks;

/* Set one, if there is room; return before which record the next one is due. */
static int64_t mark(marks *m, int64_t at, int64_t n)
{
    if (m->n < m->room) {
        m->places[m->n] = at;
        m->before[m->n++] = n;
    }
    return n + STEP;
}

/* Count varints.
 *
 * found: where the last one ends; whether each is as short as it can be; how many marks are set.
 */
KERNEL int64_t find_varints(const uint8_t *data, int64_t start, int64_t stop, int tag,
                            int64_t *places, int64_t *before, int64_t room, int64_t found[3])
{
    const uint64_t wanted = (uint8_t)tag;
    marks set = {places, before, 0, room};
    int64_t n = 0, at = start, due = 0;
    int minimal = 1;
    while (stop - at >= 2) {
        if (n >= due)
            due = mark(&set, at, n);
        if (stop - at >= WORD) {
            uint64_t word = word_at(data + at);
            if (is_four(word, wanted)) {
                at += FOUR_NBYTES;
                n += 4;
                continue;
            }
            if (is_two(word, wanted)) {
                at += TWO_NBYTES;
                n += 2;
                continue;
            }
            int64_t n_passed;
            at = pass_pairs(data, at, stop, wanted, PAIRS, 0, &n_passed);
            n += n_passed;
            if (n_passed)
                continue;
        }
        uint64_t value;
        int64_t end = data[at] == tag ? read_varint(data, at + 1, stop, &value) : REFUSED;
        if (end == REFUSED)
            break;
        uint8_t last = data[end - 1];
        minimal &= end - at == 2 || (last && (end - at <= LONGEST || last == 1));
        at = end;
        n++;
    }
    found[0] = at;
    found[1] = minimal;
    found[2] = set.n;
    return n;
}

/* Pass over some; return where they end. */
static int64_t skip_varints(const uint8_t *data, int64_t at, int64_t stop, uint64_t tag, int64_t n)
{
    if (n < 0)
        return REFUSED;
    while (n > 0) {
        if (stop - at >= WORD && n >= 4) {
            uint64_t word = word_at(data + at);
            if (is_four(word, tag)) {
                at += FOUR_NBYTES;
                n -= 4;
                continue;
            }
            if (is_two(word, tag)) {
                at += TWO_NBYTES;
                n -= 2;
                continue;
            }
            int64_t n_passed;
            at = pass_pairs(data, at, stop, tag, n < PAIRS ? n : PAIRS, 0, &n_passed);
            n -= n_passed;
            if (n_passed)
                continue;
        }
        uint64_t value;
        at = stop - at < 2 ? REFUSED : read_varint(data, at + 1, stop, &value);
        if (at == REFUSED)
            return REFUSED;
        n--;
    }
    return at;
}

/* Give the values of those behind the first `skip`; return where they end. */
KERNEL int64_t read_varints(const uint8_t *data, int64_t start, int64_t stop, int tag, int64_t skip,
                            uint64_t *values, int64_t n)
{
    const uint64_t wanted = (uint8_t)tag;
    int64_t at = skip_varints(data, start, stop, wanted, skip), i = 0;
    if (at == REFUSED)
        return REFUSED;
    while (i < n) {
        if (stop - at >= WORD && n - i >= 4) {
            uint64_t word = word_at(data + at);
            if (is_four(word, wanted)) {
                for (int k = 0; k < 4; k++)
                    values[i + k] = word >> (8 + 16 * k) & 0x7F;
                at += FOUR_NBYTES;
                i += 4;
                continue;
            }
            if (is_two(word, wanted)) {
                for (int k = 0; k < 2; k++)
                    values[i + k] = (word >> (8 + 24 * k) & 0x7F) | (word >> (9 + 24 * k) & 0x3F80);
                at += TWO_NBYTES;
                i += 2;
                continue;
            }
            int64_t n_passed, most = n - i < PAIRS ? n - i : PAIRS;
            at = pass_pairs(data, at, stop, wanted, most, values + i, &n_passed);
            i += n_passed;
            if (n_passed)
                continue;
        }
        if (stop - at < 2)
            return REFUSED;
        at = read_varint(data, at + 1, stop, &values[i++]);
        if (at == REFUSED)
            return REFUSED;
    }
    return at;
}

/* Write them; return how many bytes they take. */
KERNEL int64_t write_varints(const uint64_t *values, int64_t n, const uint8_t *tag,
                             int64_t tag_nbytes, uint8_t *out, int64_t room)
{
    const uint64_t first = tag_nbytes ? tag[0] : 0;
    int64_t at = 0, i = 0;
    while (i < n) {
        if (tag_nbytes == 1 && n - i >= 4 && room - at >= 4 * MOST_NBYTES + WORD) {
            const uint64_t *v = values + i, any = v[0] | v[1] | v[2] | v[3];
            if (any < ONE_BYTE) {
                uint64_t four = v[0] << 8 | v[1] << 24 | v[2] << 40 | v[3] << 56;
                put_word(out + at, first * FOUR_TAGS | four);
                at += FOUR_NBYTES;
                i += 4;
                continue;
            }
            uint64_t above = 0;
            for (int k = 0; k < 4; k++)
                above |= v[k] - ONE_BYTE;
            if (above < TWO_BYTES - ONE_BYTE) {
                put_word(out + at, two_of(first, v[0], v[1]));
                put_word(out + at + TWO_NBYTES, two_of(first, v[2], v[3]));
                at += 2 * TWO_NBYTES;
                i += 4;
                continue;
            }
            if (any < TWO_BYTES) {
                for (int k = 0; k < 4; k++)
                    at += write_short(out + at, first, v[k]);
                i += 4;
                continue;
            }
        }
        if (room - at < tag_nbytes + LONGEST)
            return REFUSED;
        for (int64_t k = 0; k < tag_nbytes; k++)
            out[at++] = tag[k];
        at += write_varint(out + at, values[i++]);
    }
    return at;
}

/* Count texts of less than 128 bytes; found: where the last one ends, how many marks are set. */
KERNEL int64_t find_texts(const uint8_t *data, int64_t start, int64_t stop, int tag,
                          int64_t *places, int64_t *before, int64_t room, int64_t found[2])
{
    marks set = {places, before, 0, room};
    int64_t n = 0, at = start, due = 0;
    while (stop - at >= 2 && data[at] == tag && data[at + 1] < 0x80) {
        int64_t end = at + 2 + data[at + 1];
        if (end > stop)
            break;
        if (n >= due)
            due = mark(&set, at, n);
        at = end;
        n++;
    }
    found[0] = at;
    found[1] = set.n;
    return n;
}

/* Give where they begin, and how long they are; return where the last one ends. */
KERNEL int64_t read_texts(const uint8_t *data, int64_t start, int64_t stop, int64_t *starts,
                          int64_t *lengths, int64_t n)
{
    int64_t at = start;
    for (int64_t i = 0; i < n; i++) {
        if (stop - at < 2)
            return REFUSED;
        int64_t length = data[at + 1];
        at += 2;
        starts[i] = at;
        lengths[i] = length;
        at += length;
    }
    return at;
}

/* Give where those behind the first `skip` end among the bytes of all; return where they end. */
KERNEL int64_t read_ends(const uint8_t *data, int64_t start, int64_t stop, int64_t skip,
                         int64_t base, int64_t *ends, int64_t n)
{
    int64_t at = start;
    for (int64_t i = -skip; i < n; i++) {
        if (skip < 0 || stop - at < 2)
            return REFUSED;
        base += data[at + 1];
        at += 2 + data[at + 1];
        if (i >= 0)
            ends[i] = base;
    }
    return at;
}

/* Give the bytes of texts, behind the first `skip`; return where the text ends that has the last. */
KERNEL int64_t read_chars(const uint8_t *data, int64_t start, int64_t stop, int64_t skip,
                          uint8_t *out, int64_t nbytes)
{
    int64_t at = start, to = 0;
    while (to < nbytes) {
        if (skip < 0 || stop - at < 2 || stop - at - 2 < data[at + 1])
            return REFUSED;
        int64_t length = data[at + 1], passed = skip < length ? skip : length;
        int64_t n = length - passed < nbytes - to ? length - passed : nbytes - to;
        int64_t from = at + 2 + passed;
        copy_piece(out + to, data + from, n, nbytes - to < stop - from ? nbytes - to : stop - from);
        skip -= passed;
        to += n;
        at += 2 + length;
    }
    return at;
}

/* Write them; return how many bytes they take. */
KERNEL int64_t write_texts(const int64_t *lengths, int64_t n, const uint8_t *data, int64_t nbytes,
                           const uint8_t *tag, int64_t tag_nbytes, uint8_t *out, int64_t room)
{
    int64_t at = 0, from = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t length = lengths[i];
        if (!is_inside(from, length, nbytes) || room - at - tag_nbytes - LONGEST < length)
            return REFUSED;
        for (int64_t k = 0; k < tag_nbytes; k++)
            out[at++] = tag[k];
        at += write_varint(out + at, (uint64_t)length);
        int64_t left = nbytes - from < room - at ? nbytes - from : room - at;
        copy_piece(out + at, data + from, length, left);
        at += length;
        from += length;
    }
    return at;
}

/* Copy values of 4 or 8 bytes that stand so far apart. */
static void copy_values(uint8_t *out, int64_t out_step, const uint8_t *data, int64_t step,
                        int64_t n, int64_t size)
{
    if (size == 4)
        for (int64_t i = 0; i < n; i++)
            memcpy(out + i * out_step, data + i * step, 4);
    else
        for (int64_t i = 0; i < n; i++)
            memcpy(out + i * out_step, data + i * step, 8);
}

/* Count values of 4 or 8 bytes. */
KERNEL int64_t find_fixed(const uint8_t *data, int64_t start, int64_t stop, int tag, int64_t size)
{
    int64_t n = 0;
    for (int64_t at = start; stop - at > size && data[at] == tag; at += 1 + size)
        n++;
    return n;
}

/* Give them; return where they end. */
KERNEL int64_t read_fixed(const uint8_t *data, int64_t start, int64_t stop, int64_t size,
                          uint8_t *values, int64_t n)
{
    if ((size != 4 && size != 8) || n > (stop - start) / (1 + size))
        return REFUSED;
    copy_values(values, size, data + start + 1, 1 + size, n, size);
    return start + n * (1 + size);
}

/* Write them; return how many bytes they take. */
KERNEL int64_t write_fixed(const uint8_t *values, int64_t n, int64_t size, const uint8_t *tag,
                           int64_t tag_nbytes, uint8_t *out, int64_t room)
{
    int64_t step = tag_nbytes + size;
    if ((size != 4 && size != 8) || n > room / step)
        return REFUSED;
    for (int64_t k = 0; k < tag_nbytes; k++)
        for (int64_t i = 0; i < n; i++)
            out[i * step + k] = tag[k];
    copy_values(out + tag_nbytes, step, values, size, n, size);
    return n * step;
}

/* --- pieces ----------------------------------------------------------------------------------- */

/* Copy pieces; where an array of places is missing, they lie end to end. Empty ones are nowhere. */
KERNEL int64_t move_pieces(uint8_t *out, int64_t out_nbytes, const int64_t *target,
                           const uint8_t *data, int64_t nbytes, const int64_t *source,
                           const int64_t *lengths, int64_t n)
{
    int64_t to = 0, from = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t length = lengths[i];
        if (!length)
            continue;
        if (target)
            to = target[i];
        if (source)
            from = source[i];
        if (!is_inside(to, length, out_nbytes) || !is_inside(from, length, nbytes))
            return REFUSED;
        int64_t left = out_nbytes - to < nbytes - from ? out_nbytes - to : nbytes - from;
        copy_piece(out + to, data + from, length, target ? 0 : left);
        to += length;
        from += length;
    }
    return to;
}

/* Whether two arrays hold the same. */
KERNEL int64_t are_equal(const uint8_t *a, const uint8_t *b, int64_t nbytes)
{
    return !memcmp(a, b, (size_t)nbytes);
}

/* --- pages of RNTuples: FORMAT.md 2.2, and the specification's "Column Description" -------------- */

enum { AS_THEY_ARE, ZIGZAG, DIFFERENCES };

/* Load values of 2, 4 or 8 bytes. */
PART void load(uint64_t *bits, const uint8_t *values, int64_t n, int64_t size)
{
    if (size == 8)
        memcpy(bits, values, (size_t)n * 8);
    else if (size == 4)
        for (int64_t i = 0; i < n; i++) {
            uint32_t value;
            memcpy(&value, values + 4 * i, 4);
            bits[i] = value;
        }
    else
        for (int64_t i = 0; i < n; i++) {
            uint16_t value;
            memcpy(&value, values + 2 * i, 2);
            bits[i] = value;
        }
}

PART void store(uint8_t *values, const uint64_t *bits, int64_t n, int64_t size)
{
    if (size == 8)
        memcpy(values, bits, (size_t)n * 8);
    else if (size == 4)
        for (int64_t i = 0; i < n; i++) {
            uint32_t value = (uint32_t)bits[i];
            memcpy(values + 4 * i, &value, 4);
        }
    else
        for (int64_t i = 0; i < n; i++) {
            uint16_t value = (uint16_t)bits[i];
            memcpy(values + 2 * i, &value, 2);
        }
}

/* Steps of splitting and joining; they halve or double a value, which compilers make vectors of. */
PART void halve(uint16_t *low, uint16_t *high, const uint16_t *halves, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        low[i] = halves[2 * i];
        high[i] = halves[2 * i + 1];
    }
}

PART void halve_short(uint8_t *low, uint8_t *high, const uint16_t *values, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        low[i] = (uint8_t)values[i];
        high[i] = (uint8_t)(values[i] >> 8);
    }
}

PART void join_halves(uint16_t *halves, const uint16_t *low, const uint16_t *high, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        halves[2 * i] = low[i];
        halves[2 * i + 1] = high[i];
    }
}

PART void join_bytes(uint16_t *values, const uint8_t *low, const uint8_t *high, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        values[i] = (uint16_t)(low[i] | high[i] << 8);
}

/* Split values of 2 or 4 bytes as they are: what weights are. */
PART void split_weights(uint8_t *page, const uint8_t *values, int64_t n, int64_t size)
{
    uint16_t bits[2 * BLOCK], low[BLOCK], high[BLOCK];
    for (int64_t start = 0; start < n; start += BLOCK) {
        int64_t m = n - start < BLOCK ? n - start : BLOCK;
        uint8_t *part = page + start;
        memcpy(bits, values + start * size, (size_t)(m * size));
        if (size == 2) {
            halve_short(part, part + n, bits, m);
            continue;
        }
        halve(low, high, bits, m);
        halve_short(part, part + n, low, m);
        halve_short(part + 2 * n, part + 3 * n, high, m);
    }
}

/* Put them together. */
PART void join_weights(uint8_t *values, const uint8_t *page, int64_t n, int64_t size)
{
    uint16_t bits[2 * BLOCK], low[BLOCK], high[BLOCK];
    for (int64_t start = 0; start < n; start += BLOCK) {
        int64_t m = n - start < BLOCK ? n - start : BLOCK;
        const uint8_t *part = page + start;
        join_bytes(size == 2 ? bits : low, part, part + n, m);
        if (size == 4) {
            join_bytes(high, part + 2 * n, part + 3 * n, m);
            join_halves(bits, low, high, m);
        }
        memcpy(values + start * size, bits, (size_t)(m * size));
    }
}

/* Split values: their lowest bytes, then the next ones, up to the highest that are not all zero.
 * Return how many there are of them: what follows in the page is zero, and the caller's to write. */
KERNEL VECTORS int64_t split_values(const uint8_t *values, int64_t n, int64_t size, int kind,
                                    uint8_t *page)
{
    uint64_t bits[BLOCK], last = 0;
    uint32_t words[BLOCK];
    uint16_t halves[2 * BLOCK], low[BLOCK], high[BLOCK];
    int64_t filled[WORD] = {0}, n_filled = 0; /* what is not, is zero */
    if (size != 2 && size != 4 && size != 8)
        return REFUSED;
    if (kind == AS_THEY_ARE && size < WORD) {
        split_weights(page, values, n, size);
        return size;
    }
    const int top = (int)(8 * size - 1);
    for (int64_t start = 0; start < n; start += BLOCK) {
        int64_t m = n - start < BLOCK ? n - start : BLOCK;
        uint64_t used = 0;
        load(bits, values + start * size, m, size);
        if (kind == DIFFERENCES)
            for (int64_t i = 0; i < m; i++) {
                uint64_t value = bits[i];
                bits[i] = value - last;
                last = value;
            }
        if (kind == ZIGZAG)
            for (int64_t i = 0; i < m; i++) {
                bits[i] = bits[i] << 1 ^ (0 - (bits[i] >> top));
                used |= bits[i];
            }
        else
            for (int64_t i = 0; i < m; i++)
                used |= bits[i];
        for (int64_t k = 0; k < size && used >> 8 * k; k += 2) {
            uint8_t *part = page + k * n;
            if (k % 4 == 0) {
                for (int64_t i = 0; i < m; i++)
                    words[i] = (uint32_t)(bits[i] >> 8 * k);
                memcpy(halves, words, (size_t)m * sizeof *words);
                halve(low, high, halves, m);
            }
            for (int64_t i = k; i < k + 2; i++) {
                memset(page + i * n + filled[i], 0, (size_t)(start - filled[i]));
                filled[i] = start + m;
            }
            halve_short(part + start, part + n + start, k % 4 ? high : low, m);
        }
    }
    while (n_filled < size && filled[n_filled])
        n_filled++;
    for (int64_t k = 0; k < n_filled; k++)
        memset(page + k * n + filled[k], 0, (size_t)(n - filled[k]));
    return n_filled;
}

/* Return whether all bytes are zero. */
PART int is_zero(const uint8_t *bytes, int64_t n)
{
    for (int64_t start = 0; start < n; start += BLOCK) {
        int64_t m = n - start < BLOCK ? n - start : BLOCK;
        uint8_t any = 0;
        for (int64_t i = 0; i < m; i++)
            any |= bytes[start + i];
        if (any)
            return 0;
    }
    return 1;
}

/* Put split values together; they may get wider. The page has the lowest bytes of each value, two at
 * least; the others are zero. */
KERNEL VECTORS int64_t join_values(const uint8_t *page, int64_t n, int64_t size, int64_t n_filled,
                                   int kind, uint8_t *values, int64_t value_size)
{
    uint64_t bits[BLOCK], last = 0;
    uint16_t low[BLOCK];
    int64_t used = n_filled;
    if ((size != 2 && size != 4 && size != 8) || (value_size != size && value_size != 8))
        return REFUSED;
    if (used < 2 || used > size)
        return REFUSED;
    if (kind == AS_THEY_ARE && used == size && size < WORD && value_size == size) {
        join_weights(values, page, n, size);
        return n;
    }
    while (used > 2 && is_zero(page + (used - 1) * n, n))
        used--;
    for (int64_t start = 0; start < n; start += BLOCK) {
        int64_t m = n - start < BLOCK ? n - start : BLOCK;
        const uint8_t *part = page + start;
        for (int64_t i = 0; i < m; i++)
            low[i] = (uint16_t)(part[i] | part[n + i] << 8);
        if (used == 2 && kind == ZIGZAG) {
            for (int64_t i = 0; i < m; i++)
                bits[i] = (uint64_t)(int64_t)(int16_t)(low[i] >> 1 ^ (0 - (low[i] & 1)));
        } else {
            for (int64_t i = 0; i < m; i++)
                bits[i] = low[i];
            for (int64_t k = 2; k < used; k++)
                for (int64_t i = 0; i < m; i++)
                    bits[i] |= (uint64_t)part[k * n + i] << 8 * k;
            if (kind == ZIGZAG)
                for (int64_t i = 0; i < m; i++)
                    bits[i] = bits[i] >> 1 ^ (0 - (bits[i] & 1));
        }
        if (kind == DIFFERENCES && size == 4)
            for (int64_t i = 0; i < m; i++)
                bits[i] = last += (uint64_t)(int64_t)(int32_t)(uint32_t)bits[i];
        else if (kind == DIFFERENCES)
            for (int64_t i = 0; i < m; i++)
                bits[i] = last += bits[i];
        store(values + start * value_size, bits, m, value_size);
    }
    return n;
}
