/** Files in a message: pictures as they are, of a recording what is said in it, of a short text its text; documents beside the chat. */
import { headers, send } from "../api/client";
import { hearingModel, knows, seeing } from "../api/system";
import { attachDocument } from "./attached_documents";
import { attachPicture } from "./pictures";

const MOST = 20_000; // characters of a text that is part of the message

export function canAttach(model: string): boolean {
  return hearingModel() !== undefined || seeing(model) || knows();
}

/** What goes into the message: a picture beside its text, or more text, which is returned. Throws an Error for what nothing here can read. */
export async function attach(file: File, model: string): Promise<string> {
  if (file.type.startsWith("image/")) {
    if (!seeing(model)) throw new Error(`${file.name}: ${model} reads text alone. Choose a model that sees.`);
    await attachPicture(file);
    return "";
  }
  if (/^(audio|video)\//.test(file.type) && (hearingModel() || !knows())) return `${file.name}:\n${await transcribe(file)}`;
  if (isText(file) && file.size <= MOST) return quoted(file);
  if (!knows()) throw new Error(`${file.name} is ${isText(file) ? "too long for a message" : "no text"}, and this server keeps no documents.`);
  await attachDocument(file);
  return "";
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

function isText({ type, name }: File): boolean {
  return /^text\/|json|xml|javascript/.test(type) || /\.(md|txt|csv|py|ts|log|toml|ya?ml)$/i.test(name);
}

async function quoted(file: File): Promise<string> {
  return `${file.name}:\n\`\`\`\n${await file.text()}\n\`\`\``;
}
