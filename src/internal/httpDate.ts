/**
 * Dates as HTTP headers carry them, read strictly. `Date.parse` is no use for this: it takes almost anything, guesses
 * what it cannot read, and reads a date without a zone in the machine's own. Only the three forms of RFC 9110 5.6.7 are
 * HTTP-dates here, and only RFC 3339 with its zone is a timestamp; everything else is absent, since a wrong date
 * becomes a wrong wait. The one tolerance is a weekday that does not fit its date: the field is redundant, and 5.6.7
 * asks recipients to be robust where a timestamp's meaning is clear, so the date itself counts.
 */

const months: ReadonlyArray<string> = [
  "Jan",
  "Feb",
  "Mar",
  "Apr",
  "May",
  "Jun",
  "Jul",
  "Aug",
  "Sep",
  "Oct",
  "Nov",
  "Dec"
]

const shortDay = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
const longDay = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"
const month = `(${months.join("|")})`
const time = "(\\d{2}):(\\d{2}):(\\d{2})"

const imfFixdate = new RegExp(`^${shortDay}, (\\d{2}) ${month} (\\d{4}) ${time} GMT$`)
const rfc850 = new RegExp(`^${longDay}, (\\d{2})-${month}-(\\d{2}) ${time} GMT$`)
const asctime = new RegExp(`^${shortDay} ${month} (\\d{2}| \\d) ${time} (\\d{4})$`)
const rfc3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(\.\d+)?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/

/** Milliseconds since the epoch of a valid UTC date and time; the month counts from 0, second 60 is a leap second. */
const utc = (
  year: number,
  month: number,
  day: number,
  hour: number,
  minute: number,
  second: number
): number | undefined => {
  if (hour > 23 || minute > 59 || second > 60) return undefined
  const date = new Date(0)
  // Not Date.UTC, which reads the years 0 to 99 as 1900 to 1999.
  date.setUTCFullYear(year, month, day)
  if (date.getUTCMonth() !== month || date.getUTCDate() !== day) return undefined
  return date.setUTCHours(hour, minute, second)
}

const monthIndex = (name: string | undefined): number => months.indexOf(name ?? "")

/** The latest year with these last two digits that is not more than 50 years in the future (RFC 9110 5.6.7). */
const fromTwoDigitYear = (digits: number, now: number, at: (year: number) => number | undefined) => {
  const horizon = new Date(now)
  horizon.setUTCFullYear(horizon.getUTCFullYear() + 50)
  const century = Math.floor(new Date(now).getUTCFullYear() / 100) * 100
  return [century + 100, century, century - 100]
    .map((base) => at(base + digits))
    .find((time) => time !== undefined && time <= horizon.getTime())
}

/** Milliseconds since the epoch; `now` only decides the century of a two-digit year. */
export const parseHttpDate = (value: string, now: number): number | undefined => {
  const imf = imfFixdate.exec(value)
  if (imf !== null) {
    const [, day, name, year, hour, minute, second] = imf
    return utc(Number(year), monthIndex(name), Number(day), Number(hour), Number(minute), Number(second))
  }
  const old = rfc850.exec(value)
  if (old !== null) {
    const [, day, name, year, hour, minute, second] = old
    return fromTwoDigitYear(
      Number(year),
      now,
      (year) => utc(year, monthIndex(name), Number(day), Number(hour), Number(minute), Number(second))
    )
  }
  const asc = asctime.exec(value)
  if (asc !== null) {
    const [, name, day, hour, minute, second, year] = asc
    return utc(Number(year), monthIndex(name), Number(day), Number(hour), Number(minute), Number(second))
  }
  return undefined
}

/** Milliseconds since the epoch, rounded up; a timestamp without `Z` or an offset has no meaning and is absent. */
export const parseTimestamp = (value: string): number | undefined => {
  const match = rfc3339.exec(value)
  if (match === null) return undefined
  const [, year, month, day, hour, minute, second, fraction, sign, offsetHour, offsetMinute] = match
  const local = utc(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second))
  const hours = Number(offsetHour ?? 0)
  const minutes = Number(offsetMinute ?? 0)
  if (local === undefined || hours > 23 || minutes > 59) return undefined
  const offset = (hours * 60 + minutes) * 60_000
  return local + Math.ceil(Number(`${fraction ?? "0"}e3`)) - (sign === "-" ? -offset : offset)
}
