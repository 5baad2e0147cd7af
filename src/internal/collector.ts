import { indexOf, type JsonChunk } from "./chunks.js"
import { isObject, type JsonObject } from "./json.js"

/**
 * The chunks of a streamed answer, folded into the answer that would have come without streaming.
 *
 * What is a text is known by name and concatenated: an unknown string may as well be a status that is sent again with
 * every chunk, so of those the last one holds. Lists of a delta are pieces of one list. What is empty (`null`, "", 0)
 * never replaces what was said: Azure ends a stream with chunks that have an empty id and model.
 */

/** What several pieces say together; undefined as long as they say nothing. */
interface Fold {
  readonly add: (piece: unknown) => void
  readonly whole: () => unknown
}

type Combine = (held: unknown, piece: unknown) => unknown

class Field implements Fold {
  private held: unknown = undefined
  constructor(private readonly combine: Combine) {}
  add(piece: unknown): void {
    this.held = this.combine(this.held, piece)
  }
  whole(): unknown {
    return Array.isArray(this.held) ? [...this.held] : this.held
  }
}

const isEmpty = (value: unknown): boolean => value === undefined || value === null || value === "" || value === 0

const lastOf: Combine = (held, piece) => isEmpty(piece) ? held ?? piece : piece

const last = () => new Field(lastOf)

const first = () => new Field((held, piece) => isEmpty(held) ? piece ?? held : held)

const text = () =>
  new Field((held, piece) => typeof held === "string" && typeof piece === "string" ? held + piece : lastOf(held, piece))

/** The list held is this field's own, so that many pieces cost no more than their length. */
const list = () =>
  new Field((held, piece) => {
    if (!Array.isArray(piece)) return lastOf(held, piece)
    const own: Array<unknown> = Array.isArray(held) ? held : []
    for (const item of piece) own.push(item)
    return own
  })

class Fields implements Fold {
  private readonly fields = new Map<string, Fold>()
  private none: null | undefined = undefined

  constructor(private readonly known: ReadonlyMap<string, () => Fold>, private readonly other: () => Fold) {}

  add(piece: unknown): void {
    if (!isObject(piece)) {
      this.none = null
      return
    }
    for (const [name, value] of Object.entries(piece)) this.field(name).add(value)
  }

  get(name: string): unknown {
    return this.fields.get(name)?.whole()
  }

  whole(): JsonObject | null | undefined {
    return this.fields.size === 0 ? this.none : this.object()
  }

  object(): JsonObject {
    return Object.fromEntries(
      [...this.fields].map(([name, field]) => [name, field.whole()]).filter(([, value]) => value !== undefined)
    )
  }

  private field(name: string): Fold {
    const existing = this.fields.get(name)
    if (existing !== undefined) return existing
    const made = (this.known.get(name) ?? this.other)()
    this.fields.set(name, made)
    return made
  }
}

const functionFields = new Map([["name", first], ["arguments", text]])

const toolCallFields = new Map<string, () => Fold>([
  ["id", first],
  ["type", first],
  ["function", () => new Fields(functionFields, last)]
])

interface Call {
  readonly index: number
  readonly fields: Fields
}

/**
 * Pieces of tool calls belong together by their index. Some servers number every call 0 or none at all, and send each
 * whole: another call begins where a piece has a name, and an id that is not the one before. An id alone begins none,
 * since other servers make up a new one for every piece.
 */
class Calls implements Fold {
  private readonly calls: Array<Call> = []

  add(piece: unknown): void {
    if (!Array.isArray(piece)) return
    for (const { index, ...rest } of piece.filter(isObject)) this.callOf(index, rest).fields.add(rest)
  }

  whole(): ReadonlyArray<JsonObject> | undefined {
    return this.calls.length === 0
      ? undefined
      : [...this.calls].sort((a, b) => a.index - b.index).map(({ fields }) => fields.object())
  }

  private callOf(index: unknown, piece: JsonObject): Call {
    const numbered = typeof index === "number"
    const known = this.calls.filter((call) => !numbered || call.index === index).at(-1)
    if (known !== undefined && !this.begins(numbered, piece, known)) return known
    const call = { index: numbered ? index : this.calls.length, fields: new Fields(toolCallFields, last) }
    this.calls.push(call)
    return call
  }

  private begins(numbered: boolean, { function: called, id }: JsonObject, known: Call): boolean {
    if (!isObject(called) || isEmpty(called["name"])) return false
    return isEmpty(id) ? !numbered : id !== known.fields.get("id")
  }
}

const messageFields = new Map<string, () => Fold>([
  ...["content", "refusal", "reasoning", "reasoning_content", "thinking"].map((name) => [name, text] as const),
  ["role", last],
  // What Anthropic's stream gives at once, as in `anthropicStream.ts`.
  ["content_blocks", last],
  ["tool_calls", () => new Calls()],
  ["function_call", () => new Fields(functionFields, last)],
  ["audio", () => new Fields(new Map([["transcript", text], ["data", text]]), last)]
])

const choiceFields = new Map<string, () => Fold>([
  ["delta", () => new Fields(messageFields, list)],
  ["logprobs", () => new Fields(new Map(), list)]
])

/** A message without text says so with `null` if it says something else. */
const messageOf = (said: JsonObject): JsonObject => ({
  ...said,
  role: isEmpty(said["role"]) ? "assistant" : said["role"],
  content: isEmpty(said["content"])
    ? ["tool_calls", "function_call", "refusal", "audio"].some((field) => !isEmpty(said[field])) ? null : ""
    : said["content"]
})

export class Collector {
  private readonly top = new Fields(new Map(), last)
  private readonly choices = new Map<number, Fields>()

  add({ choices, ...rest }: JsonChunk): void {
    this.top.add(rest)
    choices.forEach((choice, position) => this.choice(indexOf(choice, position)).add(choice))
  }

  /** What the chunks so far say. */
  get response(): JsonObject {
    return {
      ...this.top.object(),
      object: "chat.completion",
      choices: [...this.choices].sort(([a], [b]) => a - b).map(([index, fields]) => {
        const { delta, ...rest } = fields.object()
        return {
          ...rest,
          index,
          message: messageOf(isObject(delta) ? delta : {}),
          finish_reason: isEmpty(rest["finish_reason"]) ? null : rest["finish_reason"]
        }
      })
    }
  }

  private choice(index: number): Fields {
    const known = this.choices.get(index)
    if (known !== undefined) return known
    const made = new Fields(choiceFields, last)
    this.choices.set(index, made)
    return made
  }
}
