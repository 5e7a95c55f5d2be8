/*
 * Days and dates of the proleptic Gregorian calendar in UTC, without leap seconds, time zones or
 * locale. The ground under HTTP dates and the ISO times of listings.
 */
#ifndef LIB_SWIFT_CALENDAR_H
#define LIB_SWIFT_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

struct calendar_time {
	int year;    /* 1 to 9999 */
	int month;   /* 1 to 12 */
	int day;     /* 1 to 31 */
	int hour;    /* 0 to 23 */
	int minute;  /* 0 to 59 */
	int second;  /* 0 to 59 */
	int weekday; /* 0 is Sunday; only an output */
};

/* 0001-01-01T00:00:00 and 9999-12-31T23:59:59 in seconds since 1970. */
#define CALENDAR_SECONDS_MIN INT64_C(-62135596800)
#define CALENDAR_SECONDS_MAX INT64_C(253402300799)

/* Seconds since 1970, which are first clamped to the two limits above. */
struct calendar_time calendar_from_seconds(int64_t seconds);

/* -EINVAL when a member is out of its range or the month has no such day. The weekday is not looked
 * at. */
int calendar_to_seconds(const struct calendar_time *time, int64_t *ret_seconds);

#endif
