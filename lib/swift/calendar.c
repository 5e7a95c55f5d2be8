#include "lib/swift/calendar.h"

#include <errno.h>
#include <stddef.h>

enum {
	SECONDS_PER_DAY = 86400,
	DAYS_PER_ERA = 146097,     /* 400 years */
	DAYS_BEFORE_1970 = 719468, /* from 0000-03-01 */
};

/*
 * Years are counted from March, so that the leap day is the last of a year; 400 of them are an era,
 * which always has the same number of days. Dates before year 1 do not occur, so no term below is
 * negative.
 */
static int64_t days_from_date(int year, int month, int day)
{
	int64_t march_year = month <= 2 ? year - 1 : year;
	int64_t era = march_year / 400;
	int64_t year_of_era = march_year - era * 400;
	int64_t month_from_march = month > 2 ? month - 3 : month + 9;
	int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
	return era * DAYS_PER_ERA + day_of_era - DAYS_BEFORE_1970;
}

static void date_from_days(int64_t days, struct calendar_time *time)
{
	uint32_t shifted = (uint32_t)(days + DAYS_BEFORE_1970);
	uint32_t era = shifted / DAYS_PER_ERA;
	uint32_t day_of_era = shifted - era * DAYS_PER_ERA;
	uint32_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	uint32_t month_from_march = (5 * day_of_year + 2) / 153;
	time->day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
	time->month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
	time->year = (int)(year_of_era + era * 400) + (time->month <= 2);
}

struct calendar_time calendar_from_seconds(int64_t seconds)
{
	if (seconds < CALENDAR_SECONDS_MIN)
		seconds = CALENDAR_SECONDS_MIN;
	if (seconds > CALENDAR_SECONDS_MAX)
		seconds = CALENDAR_SECONDS_MAX;
	int64_t days = seconds / SECONDS_PER_DAY;
	int second_of_day = (int)(seconds % SECONDS_PER_DAY);
	if (second_of_day < 0) {
		second_of_day += SECONDS_PER_DAY;
		days--;
	}
	struct calendar_time time = {
		.hour = second_of_day / 3600,
		.minute = second_of_day / 60 % 60,
		.second = second_of_day % 60,
		/* 1970-01-01 was a Thursday; the multiple of 7 keeps the sum positive. */
		.weekday = (int)((days + 4 + 7 * INT64_C(200000)) % 7),
	};
	date_from_days(days, &time);
	return time;
}

static int days_of_month(int year, int month)
{
	static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	return month == 2 && leap ? 29 : days[month - 1];
}

int calendar_to_seconds(const struct calendar_time *time, int64_t *ret_seconds)
{
	if (time->year < 1 || time->year > 9999 || time->month < 1 || time->month > 12)
		return -EINVAL;
	if (time->day < 1 || time->day > days_of_month(time->year, time->month))
		return -EINVAL;
	if (time->hour < 0 || time->hour > 23 || time->minute < 0 || time->minute > 59)
		return -EINVAL;
	if (time->second < 0 || time->second > 59)
		return -EINVAL;
	int64_t days = days_from_date(time->year, time->month, time->day);
	*ret_seconds = days * SECONDS_PER_DAY + time->hour * 3600 + time->minute * 60 + time->second;
	return 0;
}
