/**
 * Virtual time for Effect programs, cheap enough for millions of sleeps.
 *
 * `TestClock` keeps its sleeps in a list that it sorts, and cancelled ones with them. Here they lie on a heap, cancelled
 * ones are dropped, and sleeps that end together wake in the order they began. Fibers run on a scheduler that is drained
 * after every timer, and a real turn of the event loop lets promises settle before time moves on: the clock advances
 * only when nothing is left to do at this instant.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import TinyQueue from "tinyqueue"
import type { Simulator } from "./Simulator.js"
import { EPOCH, turn } from "./Simulator.js"

interface Timer {
  readonly at: number
  readonly order: number
  wake: (() => void) | undefined
}

const byTime = (a: Timer, b: Timer): number => a.at - b.at || a.order - b.order

export class VirtualTime implements Simulator {
  private time = 0
  private started = 0
  private cancelled = 0
  private timers = new TinyQueue<Timer>([], byTime)
  private tasks: Array<() => void> = []

  /** Where the fibers of this time run. */
  readonly scheduler = Scheduler.make((task) => {
    this.tasks.push(task)
  })

  readonly now = (): number => this.time

  /** How many timers are kept, those included that were cancelled and not dropped yet. */
  get size(): number {
    return this.timers.length
  }

  readonly sleep = (millis: number, wake: () => void): () => void => {
    const timer: Timer = { at: this.time + Math.max(0, millis), order: this.started++, wake }
    this.timers.push(timer)
    return () => {
      if (timer.wake !== undefined) {
        timer.wake = undefined
        this.cancelled += 1
        this.drop()
      }
    }
  }

  /** Runs until `isOver`, which is asked whenever nothing is left to do at an instant. */
  async run(isOver: () => boolean): Promise<void> {
    while (true) {
      this.drain()
      await turn()
      if (this.tasks.length > 0) {
        continue
      }
      if (isOver()) {
        return
      }
      if (!this.advance()) {
        throw new Error(`nothing left to wait for after ${this.time} ms of virtual time`)
      }
    }
  }

  /** Goes to the next instant at which a timer ends, and wakes those that end there. */
  private advance(): boolean {
    const first = this.next()
    if (first === undefined) {
      return false
    }
    this.time = first.at
    for (let timer: Timer | undefined = first; timer?.at === this.time; timer = this.next()) {
      this.timers.pop()
      const wake = timer.wake
      timer.wake = undefined
      wake?.()
      this.drain()
    }
    return true
  }

  private next(): Timer | undefined {
    while (this.timers.length > 0 && this.timers.peek()?.wake === undefined) {
      this.timers.pop()
      this.cancelled -= 1
    }
    return this.timers.peek()
  }

  private drain(): void {
    while (this.tasks.length > 0) {
      const tasks = this.tasks
      this.tasks = []
      tasks.forEach((task) => task())
    }
  }

  /** Most timers are timeouts that never fire: once they are the greater part of the heap, it is built anew. */
  private drop(): void {
    if (this.cancelled > 1000 && this.cancelled * 2 > this.timers.length) {
      this.timers = new TinyQueue(this.timers.data.filter((timer) => timer.wake !== undefined), byTime)
      this.cancelled = 0
    }
  }
}

/** The `Clock` service of a virtual time. */
export class VirtualClock implements Clock.Clock {
  readonly [Clock.ClockTypeId]: Clock.ClockTypeId = Clock.ClockTypeId
  constructor(private readonly time: VirtualTime) {}
  unsafeCurrentTimeMillis(): number {
    return EPOCH + Math.floor(this.time.now())
  }
  unsafeCurrentTimeNanos(): bigint {
    return BigInt(Math.round(this.time.now() * 1e6))
  }
  readonly currentTimeMillis = Effect.sync(() => this.unsafeCurrentTimeMillis())
  readonly currentTimeNanos = Effect.sync(() => this.unsafeCurrentTimeNanos())
  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.async<void>((resume) =>
      Effect.sync(this.time.sleep(Duration.toMillis(duration), () => resume(Effect.void)))
    )
  }
}

/** Runs a program in virtual time, with seeded randomness, to its end. */
export const simulate = async <A, E>(
  seed: number,
  program: (simulator: Simulator) => Effect.Effect<A, E>
): Promise<A> => {
  const time = new VirtualTime()
  const fiber = Effect.suspend(() => program(time)).pipe(
    Effect.withClock(new VirtualClock(time)),
    Effect.withRandom(Random.make(seed)),
    (effect) => Effect.runFork(effect, { scheduler: time.scheduler })
  )
  await time.run(() => fiber.unsafePoll() !== null)
  return Exit.getOrElse(await Effect.runPromise(fiber.await), (cause) => {
    throw new Error(`the simulated program failed: ${cause}`)
  })
}
