/** What a chat shows before its first message. */
import { sendText } from "./send";
import { modelName, settings } from "./settings";

const IDEAS = ["Explain grouped-query attention in three sentences.", "Write a Python function that merges two sorted lists.", "What can you do with my documents?"];

export function Welcome() {
  const sources = settings.value.stores.length;
  return (
    <div class="welcome">
      <h2>What would you like to know?</h2>
      <p class="dim">
        {modelName()} answers{sources ? ` from ${sources} ${sources === 1 ? "store" : "stores"} of documents` : ""}.
      </p>
      <div class="ideas">
        {IDEAS.map((idea) => (
          <button key={idea} type="button" onClick={() => void sendText(idea)}>
            {idea}
          </button>
        ))}
      </div>
    </div>
  );
}
