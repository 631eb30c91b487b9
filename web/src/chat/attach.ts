/** Files in a message: of a recording what is said in it, of a text its text. */
import { headers, send } from "../api/client";
import { hearingModel } from "../api/system";

const MOST = 200_000; // characters of a text

export function canAttach(): boolean {
  return hearingModel() !== undefined;
}

/** Text for the message. Throws an Error for what no model here can read. */
export async function attach(file: File): Promise<string> {
  if (/^(audio|video)\//.test(file.type)) return `${file.name}:\n${await transcribe(file)}`;
  if (/^text\/|json|xml|javascript/.test(file.type) || /\.(md|txt|csv|py|ts|log|toml|ya?ml)$/i.test(file.name)) return quoted(file);
  throw new Error(`${file.name}: put it into a store under Documents, and ask that; the models here read text.`);
}

async function transcribe(file: File): Promise<string> {
  const model = hearingModel();
  if (!model) throw new Error("Recordings need a model of speech: start the server with --transcription-model whisper-tiny.");
  const form = new FormData();
  form.set("file", file);
  form.set("model", model.id);
  const answer = await send("/v1/audio/transcriptions", { method: "POST", body: form, headers: headers() });
  return ((await answer.json()) as { text: string }).text.trim();
}

async function quoted(file: File): Promise<string> {
  const text = await file.text();
  if (text.length > MOST) throw new Error(`${file.name} is too long for a message: put it into a store under Documents.`);
  return `${file.name}:\n\`\`\`\n${text}\n\`\`\``;
}
