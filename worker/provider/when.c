#include "worker/provider/when.h"

#include <string.h>
#include <strings.h>

static const int64_t day_ms = INT64_C(86400000);
static const int64_t huge_ms = INT64_C(1) << 53; // far beyond any date; keeps all sums in range

struct cursor {
    const char *at, *end;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool take_char(struct cursor *c, char want)
{
    if (c->at == c->end || *c->at != want)
        return false;
    c->at++;
    return true;
}

static bool take_word(struct cursor *c, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(c->end - c->at) < len || strncasecmp(c->at, word, len) != 0)
        return false;
    c->at += len;
    return true;
}

// take_digits reads exactly count digits.
static bool take_digits(struct cursor *c, int count, int *ret)
{
    int n = 0;
    if (c->end - c->at < count)
        return false;
    for (int i = 0; i < count; i++) {
        if (!is_digit(c->at[i]))
            return false;
        n = n * 10 + (c->at[i] - '0');
    }
    c->at += count;
    *ret = n;
    return true;
}

// take_fraction reads the digits after a point as millionths, rounded up.
static int64_t take_fraction(struct cursor *c)
{
    int64_t millionths = 0, unit = 100000;
    bool more = false;
    for (; c->at < c->end && is_digit(*c->at); c->at++, unit /= 10) {
        millionths += unit * (*c->at - '0');
        more = more || (unit == 0 && *c->at != '0');
    }
    return millionths + more;
}

// take_number reads "12" or "12.5" as a whole part (huge where it is very long) and millionths.
static bool take_number(struct cursor *c, int64_t *ret_whole, int64_t *ret_millionths)
{
    int64_t n = 0;
    if (c->at == c->end || !is_digit(*c->at))
        return false;
    for (; c->at < c->end && is_digit(*c->at); c->at++)
        n = MIN(n * 10 + (*c->at - '0'), huge_ms);
    *ret_whole = n;
    *ret_millionths = 0;
    if (!take_char(c, '.'))
        return true;
    if (c->at == c->end || !is_digit(*c->at))
        return false;
    *ret_millionths = take_fraction(c);
    return true;
}

bool when_decimal(struct span s, int64_t unit_ms, int64_t *ret_ms)
{
    struct cursor c = {s.at, s.at + s.len};
    int64_t n, millionths;
    if (s.len == 0 || !take_number(&c, &n, &millionths) || c.at != c.end)
        return false;
    *ret_ms = MIN(MIN(n, huge_ms / unit_ms) * unit_ms + (millionths * unit_ms + 999999) / 1000000,
                  huge_ms);
    return true;
}

// take_unit gives a unit's length in nanoseconds. "ms" must be looked for before "m".
static int64_t take_unit(struct cursor *c)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {
        {"ms", 1000000},
        {"us", 1000},
        {"\xC2\xB5s", 1000},
        {"\xCE\xBCs", 1000},
        {"ns", 1},
        {"s", 1000000000},
        {"m", 60 * INT64_C(1000000000)},
        {"h", 3600 * INT64_C(1000000000)},
    };
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (take_word(c, units[i].name))
            return units[i].ns;
    return 0;
}

bool when_duration(struct span s, int64_t *ret_ms)
{
    static const int64_t ns_max = INT64_C(1) << 61; // 73 years
    struct cursor c = {s.at, s.at + s.len};
    int64_t sum_ns = 0;
    if (s.len == 0)
        return false;
    while (c.at < c.end) {
        int64_t n, millionths, unit_ns;
        if (!take_number(&c, &n, &millionths) || (unit_ns = take_unit(&c)) == 0)
            return false;
        // A millionth of an hour is 3.6e6 ns: no product here leaves 64 bits.
        int64_t part = MIN(n, ns_max / unit_ns) * unit_ns +
                       (unit_ns >= 1000000 ? millionths * (unit_ns / 1000000)
                                           : (millionths * unit_ns + 999999) / 1000000);
        sum_ns = MIN(sum_ns + MIN(part, ns_max), ns_max);
    }
    *ret_ms = (sum_ns + 999999) / 1000000;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

// date_ms gives the midnight of a day, UTC. Years of our calendar only, from 1970 on.
static bool date_ms(int year, int month, int day, int64_t *ret_ms)
{
    if (year < 1970 || year > 9999 || month < 1 || month > 12 || day < 1 ||
        day > days_in_month(year, month))
        return false;
    int64_t before = year - 1; // whole years gone by
    int64_t days = before * 365 + before / 4 - before / 100 + before / 400 - 719162;
    for (int m = 1; m < month; m++)
        days += days_in_month(year, m);
    *ret_ms = (days + day - 1) * day_ms;
    return true;
}

// time_ms gives the time of a day; a leap second (60) counts as the next minute's first.
static bool time_ms(int hour, int minute, int second, int64_t *ret_ms)
{
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
        return false;
    *ret_ms = ((hour * 60 + minute) * INT64_C(60) + second) * 1000;
    return true;
}

static bool take_date(struct cursor *c, int64_t *ret_ms)
{
    int year, month, day;
    return take_digits(c, 4, &year) && take_char(c, '-') && take_digits(c, 2, &month) &&
           take_char(c, '-') && take_digits(c, 2, &day) && date_ms(year, month, day, ret_ms);
}

// take_time reads HH:MM[:SS[.fraction]].
static bool take_time(struct cursor *c, bool seconds_needed, int64_t *ret_ms)
{
    int hour, minute, second = 0;
    int64_t part_ms = 0;
    if (!take_digits(c, 2, &hour) || !take_char(c, ':') || !take_digits(c, 2, &minute))
        return false;
    struct cursor back = *c;
    if (!take_char(c, ':') || !take_digits(c, 2, &second)) {
        if (seconds_needed)
            return false;
        *c = back;
        second = 0;
    } else if (c->end - c->at > 1 && *c->at == '.' && is_digit(c->at[1])) {
        c->at++;
        part_ms = (take_fraction(c) + 999) / 1000;
    }
    if (!time_ms(hour, minute, second, ret_ms))
        return false;
    *ret_ms += part_ms;
    return true;
}

// take_offset reads Z or +HH:MM as what must be taken away to get UTC.
static bool take_offset(struct cursor *c, int64_t *ret_ms)
{
    int hour, minute;
    if (take_word(c, "Z")) {
        *ret_ms = 0;
        return true;
    }
    int sign = c->at < c->end && *c->at == '-' ? -1 : 1;
    if ((!take_char(c, '+') && !take_char(c, '-')) || !take_digits(c, 2, &hour) ||
        !take_char(c, ':') || !take_digits(c, 2, &minute) || hour > 23 || minute > 59)
        return false;
    *ret_ms = sign * (hour * 60 + minute) * INT64_C(60000);
    return true;
}

bool when_rfc3339(struct span s, int64_t *ret_ms)
{
    struct cursor c = {s.at, s.at + s.len};
    int64_t date, time, offset;
    if (s.len == 0 || !take_date(&c, &date) || (!take_word(&c, "T") && !take_char(&c, ' ')) ||
        !take_time(&c, true, &time) || !take_offset(&c, &offset) || c.at != c.end)
        return false;
    *ret_ms = date + time - offset;
    return true;
}

static bool take_month(struct cursor *c, int *ret)
{
    static const char *const names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    for (int i = 0; i < 12; i++)
        if (take_word(c, names[i])) {
            *ret = i + 1;
            return true;
        }
    return false;
}

// century settles a year of two digits: RFC 9110 takes one that seems more than 50 years ahead as
// the past.
static int century(int year, int64_t now_ms)
{
    int this_year = (int)(1970 + now_ms / (365 * day_ms + day_ms / 4));
    int full = this_year - this_year % 100 + year;
    return full > this_year + 50 ? full - 100 : full;
}

// take_imf reads what follows the weekday in "Sun, 06 Nov 1994 08:49:37 GMT".
static bool take_imf(struct cursor *c, int64_t *ret_ms)
{
    int day, month, year;
    int64_t time;
    if (!take_word(c, ", ") || !take_digits(c, 2, &day) || !take_char(c, ' ') ||
        !take_month(c, &month) || !take_char(c, ' ') || !take_digits(c, 4, &year) ||
        !take_char(c, ' ') || !take_time(c, true, &time) || !take_word(c, " GMT") ||
        !date_ms(year, month, day, ret_ms))
        return false;
    *ret_ms += time;
    return true;
}

// take_rfc850 reads what follows the weekday in "Sunday, 06-Nov-94 08:49:37 GMT".
static bool take_rfc850(struct cursor *c, int64_t now_ms, int64_t *ret_ms)
{
    int day, month, year;
    int64_t time;
    if (!take_word(c, ", ") || !take_digits(c, 2, &day) || !take_char(c, '-') ||
        !take_month(c, &month) || !take_char(c, '-') || !take_digits(c, 2, &year) ||
        !take_char(c, ' ') || !take_time(c, true, &time) || !take_word(c, " GMT") ||
        !date_ms(century(year, now_ms), month, day, ret_ms))
        return false;
    *ret_ms += time;
    return true;
}

// take_asctime reads what follows the weekday in "Sun Nov  6 08:49:37 1994".
static bool take_asctime(struct cursor *c, int64_t *ret_ms)
{
    int day, month, year;
    int64_t time;
    if (!take_char(c, ' ') || !take_month(c, &month) || !take_char(c, ' ') ||
        !(take_char(c, ' ') ? take_digits(c, 1, &day) : take_digits(c, 2, &day)) ||
        !take_char(c, ' ') || !take_time(c, true, &time) || !take_char(c, ' ') ||
        !take_digits(c, 4, &year) || !date_ms(year, month, day, ret_ms))
        return false;
    *ret_ms += time;
    return true;
}

bool when_http_date(struct span s, int64_t now_ms, int64_t *ret_ms)
{
    struct cursor c = {s.at, s.at + s.len};
    int64_t ms;
    if (s.len == 0)
        return false;
    while (c.at < c.end && ((*c.at | 32) >= 'a' && (*c.at | 32) <= 'z'))
        c.at++; // the weekday says nothing new
    struct cursor old = c, older = c;
    if (!(take_imf(&c, &ms) && c.at == c.end) &&
        !(take_rfc850(&old, now_ms, &ms) && old.at == old.end) &&
        !(take_asctime(&older, &ms) && older.at == older.end))
        return false;
    *ret_ms = ms;
    return true;
}

// take_moment reads a date in a sentence and the time and zone that may follow it.
static bool take_moment(struct cursor *c, int64_t *ret_ms)
{
    int64_t date, time = 0, offset = 0;
    if (!take_date(c, &date) || (c->at < c->end && is_digit(*c->at)))
        return false;
    struct cursor next = *c;
    if ((take_word(&next, "T") || take_word(&next, " at ") || take_word(&next, ", ") ||
         take_char(&next, ' ')) &&
        take_time(&next, false, &time)) {
        *c = next;
        if (!take_offset(&next, &offset))
            offset = 0;
    } else {
        time = 0;
    }
    *ret_ms = date + time - offset;
    return true;
}

bool when_in_text(struct span text, int64_t after_ms, int64_t *ret_ms)
{
    for (size_t i = 0; i < text.len; i++) {
        struct cursor c = {text.at + i, text.at + text.len};
        int64_t ms;
        bool starts = is_digit(text.at[i]) && (i == 0 || !is_digit(text.at[i - 1]));
        if (starts && take_moment(&c, &ms) && ms > after_ms) {
            *ret_ms = ms;
            return true;
        }
    }
    return false;
}
