"""How complete the text of documents is, held against second readers."""
