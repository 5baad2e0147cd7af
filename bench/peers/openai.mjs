import OpenAI from "openai"

/** Reads a streamed answer with the official SDK, and counts the characters. */
export const read = (baseURL) => {
  const client = new OpenAI({ apiKey: "none", baseURL })
  return async () => {
    const stream = await client.chat.completions.create({
      model: "m",
      messages: [{ role: "user", content: "Go on" }],
      stream: true,
      stream_options: { include_usage: true }
    })
    let length = 0
    for await (const chunk of stream) {
      length += chunk.choices[0]?.delta.content?.length ?? 0
    }
    return length
  }
}
