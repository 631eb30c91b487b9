/** Tools: the MCP servers that the chat may call, what they offer, and what went wrong with them. */
import { useEffect } from "preact/hooks";
import { message } from "../api/client";
import { loadServers, type Server, servers, type Tool } from "../api/tools";
import { tell } from "../ui/dialogs";
import { plural } from "../ui/format";
import { Head } from "../ui/sidebar";

const OFTEN = 3000; // milliseconds

export function ToolsPage() {
  useEffect(() => {
    const look = () => void loadServers().catch((error) => tell(message(error)));
    look();
    const timer = setInterval(look, OFTEN);
    return () => clearInterval(timer);
  }, []);
  return (
    <div class="room-page">
      <Head title="Tools" />
      <div class="room-body">
        <p class="dim">
          MCP servers run beside this server, and only its operator adds some: <code>--mcp-files</code>, <code>--mcp-database</code>, <code>--mcp-config</code>. In a chat, “Tools” says
          which of them the model may call.
        </p>
        {servers.value.map((server) => (
          <ServerCard key={server.label} server={server} />
        ))}
        {!servers.value.length && <p class="dim">There are none.</p>}
      </div>
    </div>
  );
}

function ServerCard({ server }: { server: Server }) {
  const about = [server.server_name && `${server.server_name} ${server.server_version ?? ""}`, server.protocol_version && `MCP ${server.protocol_version}`, server.kind];
  const counts = [plural(server.calls, "call"), server.failures ? `${server.failures} failed` : "", server.restarts ? plural(server.restarts, "restart") : ""];
  return (
    <section class="server" aria-label={server.label}>
      <header>
        <h2>{server.label}</h2>
        <span class={`badge ${server.state}`}>{server.kind === "builtin" && server.state === "stopped" ? "starts when it is called" : server.state}</span>
        <span class="dim grow">{about.filter(Boolean).join(" · ")}</span>
        <span class="dim">{counts.filter(Boolean).join(" · ")}</span>
      </header>
      {server.last_error && (
        <p class="error">
          Last error: <span>{server.last_error}</span>
        </p>
      )}
      {server.tools.some((tool) => tool.changed) && (
        <p class="changed">
          Some tools are not what was approved, so the model does not get them. The operator looks at them and runs <code>stoa mcp approve {server.label}</code>.
        </p>
      )}
      {server.notes.map((note) => (
        <p key={note} class="dim">
          {note}
        </p>
      ))}
      <ul class="tool-list">
        {server.tools.map((tool) => (
          <ToolRow key={tool.name} tool={tool} />
        ))}
      </ul>
    </section>
  );
}

function ToolRow({ tool }: { tool: Tool }) {
  const fields = Object.entries(tool.input_schema.properties ?? {});
  const kind = tool.changed ? "withheld" : tool.read_only ? "reads" : tool.destructive ? "may destroy" : "writes";
  return (
    <li>
      <details class="fold">
        <summary>
          <code>{tool.name}</code>
          <span class="dim grow">{tool.description}</span>
          <span class={`badge ${kind.replace(" ", "-")}`}>{kind}</span>
        </summary>
        <p>{tool.description}</p>
        <p class="dim">
          {tool.read_only || tool.allowed ? "Runs without an approval" : "Waits for an approval"}
          {tool.open_world && ", reaches beyond this machine"}.
        </p>
        <dl class="fields">
          {fields.map(([name, field]) => (
            <div key={name}>
              <dt>
                <code>{name}</code> {tool.input_schema.required?.includes(name) && <span class="dim">needed</span>}
              </dt>
              <dd>{field.description ?? field.type ?? ""}</dd>
            </div>
          ))}
        </dl>
      </details>
    </li>
  );
}
