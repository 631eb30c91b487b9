/** Files in a message: pictures as they are, of a recording what is said in it, of a text its text. */
import { headers, send } from "../api/client";
import { hearingModel, seeing } from "../api/system";
import { attachPicture } from "./pictures";

const MOST = 200_000; // characters of a text

export function canAttach(model: string): boolean {
  return hearingModel() !== undefined || seeing(model);
}

/** What goes into the message: a picture beside its text, or more text, which is returned. Throws an Error for what no model here can read. */
export async function attach(file: File, model: string): Promise<string> {
  if (file.type.startsWith("image/")) {
    if (!seeing(model)) throw new Error(`${file.name}: ${model} reads text alone. Choose a model that sees, or put it into a store under Documents.`);
    await attachPicture(file);
    return "";
  }
  if (/^(audio|video)\//.test(file.type)) return `${file.name}:\n${await transcribe(file)}`;
  if (/^text\/|json|xml|javascript/.test(file.type) || /\.(md|txt|csv|py|ts|log|toml|ya?ml)$/i.test(file.name)) return quoted(file);
  throw new Error(`${file.name}: put it into a store under Documents, and ask that.`);
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
