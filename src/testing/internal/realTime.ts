/**
 * Waiting in real time, whatever clock the program around the server runs on: there is a real client on the other side.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

const liveClock = Clock.make()

export const sleep = (delay: Duration.Duration): Effect.Effect<void> =>
  Duration.equals(delay, Duration.zero) ? Effect.void : Effect.withClock(Effect.sleep(delay), liveClock)
