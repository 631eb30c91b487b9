/** Pictures in messages: files of the server's from the moment they are attached, so that every browser shows them. */
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { headers, remove, send } from "../api/client";
import type { Part } from "../api/items";
import { Icon } from "../ui/icons";

export interface Attached {
  id: string;
  name: string;
}

/** Those of the message that is being written. */
export const attached = signal<readonly Attached[]>([]);

export async function attachPicture(file: File): Promise<void> {
  const form = new FormData();
  form.set("purpose", "vision");
  form.set("file", file);
  const answer = await send("/v1/files", { method: "POST", body: form, headers: headers() });
  attached.value = [...attached.value, { id: ((await answer.json()) as { id: string }).id, name: file.name }];
}

export function toPart({ id }: Attached): Part {
  return { type: "input_image", file_id: id };
}

export function AttachedPictures() {
  if (!attached.value.length) return null;
  return (
    <ul class="pictures" aria-label="Attached pictures">
      {attached.value.map((one) => (
        <li key={one.id}>
          <Picture part={toPart(one)} name={one.name} />
          <button type="button" class="quiet" aria-label={`Remove ${one.name}`} onClick={() => takeOff(one)}>
            <Icon name="close" />
          </button>
        </li>
      ))}
    </ul>
  );
}

function takeOff(one: Attached): void {
  attached.value = attached.value.filter(({ id }) => id !== one.id);
  void remove(`/v1/files/${one.id}`).catch(() => undefined); // nobody will ask for it
}

/** What the server keeps; a picture of another host is never loaded. */
export function Picture({ part, name = "A picture" }: { part: Part; name?: string }) {
  const [source, setSource] = useState(part.image_url?.startsWith("data:image/") ? part.image_url : "");
  useEffect(() => {
    if (!part.file_id) return;
    let made = "";
    let gone = false;
    void load(part.file_id).then((found) => {
      made = found;
      if (gone) URL.revokeObjectURL(made);
      else setSource(made);
    });
    return () => {
      gone = true;
      if (made) URL.revokeObjectURL(made);
    };
  }, [part.file_id]);
  return source ? <img class="picture" src={source} alt={name} /> : <span class="picture dim">{name}</span>;
}

/** An address of its contents in this page; "" where it is gone. */
async function load(file: string): Promise<string> {
  try {
    return URL.createObjectURL(await (await send(`/v1/files/${file}/content`)).blob());
  } catch {
    return "";
  }
}
