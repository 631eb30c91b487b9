// Vercel's AI SDK with its three providers, and Ollama's client. Prints what became of each call, one JSON object a line.
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embedMany, generateObject, generateText, jsonSchema, streamText, tool } from 'ai';
import { Ollama } from 'ollama';

const url = process.env.STOA_URL, model = 'smollm2', apiKey = 'unused', prompt = 'Say hello.', maxOutputTokens = 32, maxRetries = 0;
const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey });
const compatible = createOpenAICompatible({ name: 'stoa', baseURL: `${url}/v1`, apiKey });
const anthropic = createAnthropic({ baseURL: `${url}/v1`, apiKey });
const ollama = new Ollama({ host: url });
const schema = jsonSchema({ type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false });
const tools = { weather: tool({ description: 'The weather', inputSchema: schema, execute: async () => 'sunny' }) };
const joined = async (stream) => { let text = ''; for await (const part of stream) text += part; return text; };

const calls = {
  openai_responses: async () => (await generateText({ model: openai(model), prompt, maxOutputTokens, maxRetries })).text,
  openai_chat: async () => (await generateText({ model: openai.chat(model), prompt, maxOutputTokens, maxRetries })).text,
  openai_stream: async () => joined(streamText({ model: openai(model), prompt, maxOutputTokens, maxRetries }).textStream),
  openai_object: async () => (await generateObject({ model: openai(model), prompt: 'Name a city.', schema, temperature: 0, maxOutputTokens: 400, maxRetries })).object,
  openai_tool: async () => (await generateText({ model: openai.chat(model), prompt: 'Weather in Rome?', tools, toolChoice: 'required', temperature: 0, maxOutputTokens: 400, maxRetries })).toolCalls.length,
  openai_embeddings: async () => (await embedMany({ model: openai.textEmbeddingModel('minilm'), values: ['a', 'b'], maxRetries })).embeddings.length === 2,
  compatible_chat: async () => (await generateText({ model: compatible(model), prompt, maxOutputTokens, maxRetries })).text,
  compatible_stream: async () => joined(streamText({ model: compatible(model), prompt, maxOutputTokens, maxRetries }).textStream),
  anthropic_message: async () => (await generateText({ model: anthropic(model), prompt, maxOutputTokens, maxRetries })).text,
  anthropic_stream: async () => joined(streamText({ model: anthropic(model), prompt, maxOutputTokens, maxRetries }).textStream),
  anthropic_tool: async () => (await generateText({ model: anthropic(model), prompt: 'Weather in Rome?', tools, toolChoice: 'required', temperature: 0, maxOutputTokens: 400, maxRetries })).toolCalls.length,
  ollama_chat: async () => (await ollama.chat({ model, messages: [{ role: 'user', content: prompt }], options: { num_predict: 16 } })).message.content,
  ollama_stream: async () => { let n = 0; for await (const _ of await ollama.generate({ model, prompt, stream: true, options: { num_predict: 16 } })) n += 1; return n; },
  ollama_list: async () => (await ollama.list()).models.length,
};

for (const [call, run] of Object.entries(calls)) {
  let error = null;
  try {
    const found = await run();
    if (!found) error = `nothing came: ${JSON.stringify(found)}`;
  } catch (problem) {
    error = `${problem.name}: ${problem.message} ${JSON.stringify(problem.responseBody ?? problem.cause?.message ?? null)}`.slice(0, 400);
  }
  console.log(JSON.stringify({ call, error }));
}
