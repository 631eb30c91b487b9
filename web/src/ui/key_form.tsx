/** The key that a server with keys asks for: kept until this tab is closed. */
import { key, setKey } from "../api/client";
import { Icon } from "./icons";

export function KeyForm() {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    setKey(String(new FormData(event.target as HTMLFormElement).get("key") ?? "").trim());
  };
  return (
    <main class="key-form">
      <form onSubmit={submit}>
        <h1>
          <Icon name="key" /> This server asks for a key
        </h1>
        <p class="dim">An API key of this server. It stays in this tab and is forgotten when you close it.</p>
        <label>
          API key
          <input name="key" type="password" autocomplete="off" autofocus required />
        </label>
        {key.value && (
          <p class="error" role="alert">
            This key is not known here.
          </p>
        )}
        <button class="primary" type="submit">
          Continue
        </button>
      </form>
    </main>
  );
}
